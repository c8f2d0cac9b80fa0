"""Billing systems report, and tunnels stop and go on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from billing_senders import dunning, mac, platform, post, share_secret, sub
from gateway_client import API, Provider, ok
from gateway_peers import add_peer
from isp import patch

from tools.lab import wait_for


@pytest.fixture(scope="module")
def billing(gateway: Provider) -> Provider:
    """The first tenant has shared a secret; the other one has not."""
    share_secret(gateway)
    return gateway


def locks(provider: Provider, peer: str) -> dict[str, dict[str, Any]]:
    spec = provider.lab.get("wgp", peer)["spec"]
    return {lock["reason"]: lock for lock in spec.get("suspensions", ())}


def test_a_tunnel_stops_by_a_dunning_step_and_goes_on_after_the_payment(billing: Provider) -> None:
    lab, then = billing.lab, datetime.now(UTC)
    lab.connect()
    try:
        wait_for("the first ping", lab.ping, 30)
        answer = ok(dunning(billing, "4711", "suspend", then))
        assert (answer["result"], answer["peers"][0]["result"]) == ("done", "suspended")
        wait_for("the pings to stop", lambda: not lab.ping(), 30)
        assert locks(billing, "alice")["non-payment"]["by"] == "billing:dunning"

        answer = ok(platform(billing, "invoice.paid", {"customer_id": "4711"}))
        assert answer["peers"] == [{"name": "alice", "result": "resumed", "detail": ""}]
        wait_for("the pings to go on", lab.ping, 60)

        # The sender repeats its old step, to this process and to one that remembers nothing.
        assert ok(dunning(billing, "4711", "suspend", then))["result"] == "duplicate"
        billing.process.daemon.end()
        billing.process.start()
        assert ok(dunning(billing, "4711", "suspend", then))["peers"][0]["result"] == "outdated"
        assert not locks(billing, "alice")
        assert lab.ping()
    finally:
        lab.disconnect()


def test_a_payment_does_not_lift_what_abuse_has_locked(billing: Provider) -> None:
    add_peer(billing, "spammer", {"customerId": "c-spam"})
    patch(billing.lab, "wgp", "spammer", suspensions=[{"reason": "abuse"}, {"reason": "non-payment"}])
    ok(platform(billing, "payment.succeeded", {"customer_id": "c-spam"}))
    assert set(locks(billing, "spammer")) == {"abuse"}


def test_a_subscription_is_suspended_and_resumed_by_its_own_name_only(billing: Provider) -> None:
    add_peer(billing, "line-one", {"customerId": "p-1", "subscriberId": "s-1"})
    add_peer(billing, "line-two", {"customerId": "p-1", "subscriberId": "s-2"})
    url = f"{billing.process.url}{API}/webhooks/{billing.tenant}/sub"
    assert httpx.head(url, trust_env=False).status_code == 204
    ok(sub(billing, "subscription.suspended", subscription_id="s-2", subscriber_id="p-1"))
    assert not locks(billing, "line-one")
    assert set(locks(billing, "line-two")) == {"subscription"}
    answer = ok(sub(billing, "subscriber.throttled", subscriber_id="p-1"))
    assert [peer["name"] for peer in answer["peers"]] == ["line-one", "line-two"]
    assert locks(billing, "line-one")["throttled"]["mode"] == "Throttle"
    ok(sub(billing, "subscription.resumed", subscription_id="s-2", subscriber_id="p-1"))
    assert set(locks(billing, "line-two")) == {"throttled"}


def test_nobody_known_by_that_name_and_no_news_about_tunnels_are_answered_with_success(billing: Provider) -> None:
    answer = ok(dunning(billing, "c-nobody", "suspend"))
    assert answer["result"] == "unknown-subscriber"
    assert "customer_id c-nobody" in answer["detail"]
    assert ok(platform(billing, "ticket.opened", {"customer_id": "4711"}))["result"] == "ignored"


def test_a_wrong_signature_and_a_tenant_without_a_secret_are_told_apart_by_nobody(billing: Provider) -> None:
    body = json.dumps({"type": "invoice.paid"}).encode()
    answers = [
        post(billing, "platform", body, **{"X-Webhook-Signature": mac(body, "another secret of many")}),
        post(billing, "platform", body),
        post(billing, "platform", body, tenant=billing.other_tenant, **{"X-Webhook-Signature": mac(body)}),
        post(billing, "platform", body, tenant="no-such-tenant", **{"X-Webhook-Signature": mac(body)}),
        post(billing, "platform", b"{", **{"X-Webhook-Signature": mac(body)}),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}


@pytest.mark.parametrize(
    ("hours", "named"), [(-80, "more than 72 hours ago"), (2, "still to come")], ids=["old", "future"]
)
def test_an_event_of_another_time_is_refused(billing: Provider, hours: int, named: str) -> None:
    answer = dunning(billing, "4711", "suspend", datetime.now(UTC) + timedelta(hours=hours))
    assert answer.status_code == 400
    assert named in answer.json()["detail"]
    assert not locks(billing, "alice")


def test_a_long_body_is_refused_before_it_is_looked_at(billing: Provider) -> None:
    assert post(billing, "platform", b" " * 70_000).status_code == 413


def test_an_event_of_another_tenant_of_the_platform_is_refused(billing: Provider) -> None:
    share_secret(billing, billing.other_tenant, tenantId="t-2")
    body = json.dumps(
        {
            "type": "invoice.paid",
            "timestamp": datetime.now(UTC).isoformat(),
            "tenant_id": "t-1",
            "data": {"customer_id": "4711"},
        }
    ).encode()

    def is_refused() -> bool:
        answer = post(billing, "platform", body, billing.other_tenant, **{"X-Webhook-Signature": mac(body)})
        return answer.status_code == 403 and "tenant_id t-1" in answer.text

    wait_for("the new secret to be known", is_refused, 30)


def test_a_full_list_is_told_before_it_is_applied_and_is_guarded(billing: Provider) -> None:
    for number in range(1, 4):
        add_peer(billing, f"sync-{number}", {"subscriberId": f"n-{number}"})
    patch(billing.lab, "wgp", "sync-3", suspensions=[{"reason": "sync-test"}, {"reason": "abuse"}])
    wanted: dict[str, Any] = {"reason": "sync-test", "subscribers": ["n-1", "n-9"], "mode": "dry-run"}

    told = ok(billing.one.put("/sync/suspensions", json=wanted))
    rows = {row["peer"]: (row["action"], row["result"]) for row in told["rows"]}
    assert rows == {"sync-1": ("suspend", "planned"), "sync-3": ("resume", "planned")}
    assert told["unknown_subscribers"] == ["n-9"]
    assert "guard.max_percent" in told["refused"]
    assert not locks(billing, "sync-1")

    wanted["mode"] = "apply"
    refused = billing.one.put("/sync/suspensions", json=wanted)
    assert refused.status_code == 409
    assert "guard.force" in refused.json()["detail"]
    assert not locks(billing, "sync-1")

    done = ok(billing.one.put("/sync/suspensions", json=wanted | {"guard": {"force": True}}))
    assert {row["peer"]: row["result"] for row in done["rows"]} == {"sync-1": "suspended", "sync-3": "resumed"}
    assert set(locks(billing, "sync-1")) == {"sync-test"}
    assert set(locks(billing, "sync-3")) == {"abuse"}

    again = ok(billing.one.put("/sync/suspensions", json=wanted))
    assert (again["suspend"], again["resume"], again["rows"]) == (0, 0, [])


def test_a_list_does_not_undo_a_payment_that_came_after_it_was_made(billing: Provider) -> None:
    add_peer(billing, "late-payer", {"subscriberId": "n-late"})
    ok(platform(billing, "invoice.paid", {"subscriber_id": "n-late"}))
    made = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    wanted = {"subscribers": ["n-late"], "mode": "apply", "as_of": made, "guard": {"force": True}}
    done = ok(billing.one.put("/sync/suspensions", json=wanted))
    assert [(row["peer"], row["result"]) for row in done["rows"]] == [("late-payer", "outdated")]
    assert not locks(billing, "late-payer")


def test_a_list_reaches_no_other_tenant_and_needs_the_right_to_suspend(billing: Provider) -> None:
    wanted = {"subscribers": ["n-1"], "mode": "apply", "guard": {"force": True}}
    assert ok(billing.other.put("/sync/suspensions", json=wanted))["unknown_subscribers"] == ["n-1"]
    reader = [{"apiGroups": ["wireguard.dotmac.io"], "resources": ["wireguardpeers"], "verbs": ["*"]}]
    with billing.client(billing.process.token(billing.tenant, "reader", reader)) as client:
        answer = client.put("/sync/suspensions", json=wanted)
    assert answer.status_code == 403
    assert "create wireguardpeers/suspend" in answer.json()["detail"]


def test_every_suspension_is_in_the_audit_log(billing: Provider) -> None:
    ok(dunning(billing, "4711", "resume"))
    records = [json.loads(line) for line in billing.log().splitlines() if line.startswith("{")]
    last = [record for record in records if record["user"] == "billing:dunning"][-1]
    assert (last["tenant"], last["name"], last["reason"]) == (billing.tenant, "alice", "non-payment")
    assert billing.token not in billing.log()
