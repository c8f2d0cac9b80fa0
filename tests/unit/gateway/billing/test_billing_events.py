"""Events of three senders, and what each means for a tunnel."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.api.peer import SuspensionMode
from wireguard_operator.gateway.billing.events import MEANINGS, MalformedEvent, Order, Sender, Subject, read

AT = datetime(2026, 6, 1, 12, 0, 1, 500000, tzinfo=UTC)


def body(**event: Any) -> bytes:
    return json.dumps(event).encode()


def platform(type_: str = "invoice.paid", **event: Any) -> bytes:
    base = {"id": "evt-1", "type": type_, "timestamp": "2026-06-01T12:00:01.5Z", "data": {"customer_id": "c-1"}}
    return body(**base | event)


def sub(type_: str, payload: Any = None, **context: Any) -> bytes:
    return body(
        event_id="e-7", event_type=type_, occurred_at="2026-06-01T14:00:01.5+02:00", payload=payload, context=context
    )


def dunning(**event: Any) -> bytes:
    base = {
        "event": "dunning.action",
        "event_type": "dunning_notification",
        "timestamp": "2026-06-01T12:00:01.5",
        "data": {"execution_id": "x-1", "customer_id": "c-1", "subscription_id": "s-1", "current_step": 3},
        "metadata": {"wireguard": "suspend"},
    }
    return body(**base | event)


def test_a_dunning_step_suspends_when_its_campaign_says_so() -> None:
    event = read(Sender.DUNNING, dunning())
    assert event.id == "x-1/3"
    assert event.at == AT
    assert event.subject == Subject(subscription_id="s-1", customer_id="c-1")
    assert event.order == Order("non-payment", True)


def test_a_dunning_step_of_a_campaign_that_does_not_speak_of_wireguard_changes_nothing() -> None:
    assert read(Sender.DUNNING, dunning(metadata={"mail": "yes"})).order is None
    assert read(Sender.DUNNING, dunning(metadata=None)).order is None


@pytest.mark.parametrize(
    ("word", "order"),
    [
        ("walled-garden", Order("non-payment", True, SuspensionMode.WALLED_GARDEN)),
        ("throttle", Order("non-payment", True, SuspensionMode.THROTTLE)),
        ("resume", Order("non-payment", False)),
        ("ignore", None),
    ],
)
def test_a_campaign_may_ask_for_less_than_a_cut(word: str, order: Order | None) -> None:
    assert read(Sender.DUNNING, dunning(metadata={"wireguard": word})).order == order


@pytest.mark.parametrize("kind", ["invoice.paid", "payment.succeeded", "payment.received"])
def test_a_payment_lifts_what_non_payment_locked(kind: str) -> None:
    event = read(Sender.PLATFORM, platform(kind))
    assert (event.id, event.order, event.subject) == ("evt-1", Order("non-payment", False), Subject(customer_id="c-1"))


@pytest.mark.parametrize("kind", ["invoice.overdue", "usage.warning", "ticket.opened"])
def test_what_says_nothing_about_tunnels_is_read_and_changes_nothing(kind: str) -> None:
    assert read(Sender.PLATFORM, platform(kind)).order is None


def test_the_metadata_of_an_event_overrules_its_type() -> None:
    event = read(Sender.PLATFORM, platform(metadata={"wireguard": "suspend", "wireguard_reason": "abuse"}))
    assert event.order == Order("abuse", True)
    assert read(Sender.PLATFORM, platform(metadata={"wireguard": "ignore"})).order is None


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("subscription.suspended", Order("subscription", True)),
        ("subscription.expired", Order("subscription", True)),
        ("subscription.resumed", Order("subscription", False)),
        ("subscription.activated", Order("subscription", False)),
        ("subscriber.throttled", Order("throttled", True, SuspensionMode.THROTTLE)),
        ("subscriber.unthrottled", Order("throttled", False)),
        ("subscription.upgraded", None),
        ("usage.exhausted", None),
    ],
)
def test_the_events_of_a_subscription(kind: str, order: Order | None) -> None:
    event = read(Sender.SUB, sub(kind, {"plan": "gold"}, subscriber_id="p-1", subscription_id="s-1", actor="ann"))
    assert event.at == AT
    assert event.order == order
    assert event.subject == Subject(subscription_id="s-1", subscriber_id="p-1")


def test_a_lock_is_lifted_by_the_type_of_event_that_belongs_to_it() -> None:
    locks = {order.reason for order in MEANINGS.values() if order.suspend}
    assert locks <= {order.reason for order in MEANINGS.values() if not order.suspend}


def test_identifiers_may_be_numbers_and_empty_ones_are_none() -> None:
    event = read(Sender.PLATFORM, platform(data={"customer_id": 17, "subscriber_id": ""}))
    assert event.subject == Subject(customer_id="17")


def test_an_event_without_an_id_is_known_by_its_bytes() -> None:
    first, second = (read(Sender.PLATFORM, platform(id=None, n=number)) for number in (1, 2))
    assert first.id != second.id
    assert first.id == read(Sender.PLATFORM, platform(id=None, n=1)).id


@pytest.mark.parametrize(
    ("spoilt", "named"),
    [
        (b"", "not JSON"),
        (b"[1]", "is an object"),
        (platform(type=None), "type is missing"),
        (platform(timestamp=None), "timestamp must be the time"),
        (platform(timestamp="yesterday"), "timestamp must be the time"),
        (platform(timestamp=1e300), "timestamp must be the time"),
        (platform(timestamp=True), "timestamp must be the time"),
        (platform(data=["c-1"]), "data is a JSON list"),
        (platform(data={"customer_id": {"id": 1}}), "customer_id is a JSON dict"),
        (platform(data={"customer_id": "c" * 129}), "customer_id must be at most 128"),
        (platform(data={"customer_id": "c\n1"}), "customer_id must be"),
        (platform(metadata={"wireguard": "kill"}), "must be one of suspend, walled-garden"),
        (platform(metadata={"wireguard_reason": "Not Paid"}), "metadata.wireguard_reason must be a word"),
    ],
    ids=range(13),
)
def test_a_spoilt_event_is_refused_with_the_name_of_the_field(spoilt: bytes, named: str) -> None:
    with pytest.raises(MalformedEvent, match=named):
        read(Sender.PLATFORM, spoilt)


@given(
    st.sampled_from(Sender),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "event_type",
                        "timestamp",
                        "occurred_at",
                        "data",
                        "payload",
                        "context",
                        "metadata",
                        "wireguard",
                        "customer_id",
                        "id",
                        "wireguard_reason",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=15,
    ),
)
def test_whatever_comes_is_an_event_or_is_refused(sender: Sender, event: Any) -> None:
    try:
        read(sender, json.dumps(event).encode())
    except MalformedEvent as error:
        assert str(error)
