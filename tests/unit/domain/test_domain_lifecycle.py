"""The life cycle of a peer: what keeps it off the device, in which order, and until when."""

from datetime import UTC, datetime
from typing import Any

import pytest

from wireguard_operator.api.peer import WireGuardPeer
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.domain.lifecycle import Situation, judge

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PAST, FUTURE, LATER = "2026-06-01T11:00:00Z", "2026-06-01T13:00:00Z", "2026-06-01T14:00:00Z"


def server(**meta: object) -> WireGuardServer:
    return WireGuardServer.model_validate(
        {
            "metadata": {"name": "berlin", "namespace": "isp", **meta},
            "spec": {
                "endpoint": {"host": "vpn.example.net"},
                "networks": ["10.8.0.0/24"],
                "dataPlane": {"host": {"url": "https://192.0.2.1:8443"}},
            },
        }
    )


def lock(reason: str, **window: str) -> dict[str, str]:
    return {"reason": reason, **window}


@pytest.mark.parametrize(
    ("spec", "reason", "until"),
    [
        ({}, None, None),
        ({"enabled": False}, "Disabled", None),
        ({"expiresAt": PAST}, "Expired", None),
        ({"expiresAt": "2026-06-01T12:00:00Z"}, "Expired", None),
        ({"expiresAt": FUTURE}, None, FUTURE),
        ({"suspensions": [lock("abuse")]}, "Suspended", None),
        ({"suspensions": [lock("abuse", until=PAST)]}, None, None),
        ({"suspensions": [lock("abuse", until=FUTURE)]}, "Suspended", FUTURE),
        ({"suspensions": [lock("abuse", since=FUTURE)]}, None, FUTURE),
        ({"suspensions": [lock("abuse", since=FUTURE, until=LATER)]}, None, FUTURE),
        ({"suspensions": [lock("abuse", until=PAST), lock("non-payment")]}, "Suspended", None),
        ({"suspensions": [lock("abuse", until=LATER)], "expiresAt": FUTURE}, "Suspended", FUTURE),
        ({"enabled": False, "expiresAt": PAST, "suspensions": [lock("abuse")]}, "Disabled", None),
        ({"expiresAt": PAST, "suspensions": [lock("abuse")]}, "Expired", None),
    ],
)
def test_the_verdict_follows_from_the_specification_and_the_time(
    spec: dict[str, Any], reason: str | None, until: str | None
) -> None:
    verdict = judge(Situation(peer(spec), server(), NOW))
    assert (verdict.objection.reason if verdict.objection else None) == reason
    assert verdict.admitted is (reason is None)
    assert verdict.until == (datetime.fromisoformat(until) if until else None)


def test_every_active_lock_is_named_with_who_and_until_when() -> None:
    spec = {"suspensions": [lock("abuse", by="noc"), lock("non-payment", until=FUTURE), lock("gone", until=PAST)]}
    objection = judge(Situation(peer(spec), server(), NOW)).objection
    assert objection is not None
    assert objection.message == f"abuse by noc; non-payment until {FUTURE}"


def test_the_server_comes_before_all_that_the_peer_says() -> None:
    for found, reason in ((None, "ServerNotFound"), (server(deletionTimestamp=PAST), "ServerDeleting")):
        objection = judge(Situation(peer({"enabled": False}), found, NOW)).objection
        assert objection is not None and objection.reason == reason and not objection.accepted


def peer(spec: dict[str, Any]) -> WireGuardPeer:
    meta = {"name": "alice", "namespace": "isp"}
    return WireGuardPeer.model_validate({"metadata": meta, "spec": {"serverRef": {"name": "berlin"}, **spec}})
