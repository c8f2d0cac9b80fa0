"""Which server carries a peer that asks for any that matches, and what is said when none does."""

from typing import Any

import pytest

from tests.unit.domain.objects import peer, server
from wireguard_operator.api.base import Key
from wireguard_operator.domain.capabilities import system_of
from wireguard_operator.domain.conditions import Problem
from wireguard_operator.domain.placement import Candidate, choose, objection

GOLD = {"tier": "gold"}


def candidate(name: str = "berlin", peers: int = 0, capacity: int = 10, ready: bool = True, full: str | None = None,
              **spec: Any) -> Candidate:  # fmt: skip
    of = server(name, **spec)
    return Candidate(of, peers, capacity, ready, system_of(of.spec), full)


def chosen(*candidates: Candidate, selector: dict[str, Any] | None = None, namespace: str = "isp",
           labels: dict[str, str] | None = None) -> str:  # fmt: skip
    """The name of the server, or the message."""
    alice = peer(namespace=namespace, serverSelector=selector or {})
    assert alice.spec.server_selector is not None
    found = choose(alice, alice.spec.server_selector, candidates, labels or {})
    if isinstance(found, Problem):
        assert found.reason == "NoServerAvailable"
        return found.message
    assert isinstance(found, Key)
    return found.name


OBJECTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "deleting": ({"deleting": True}, "is being deleted"),
    "disabled": ({"enabled": False}, "is disabled"),
    "maintenance": ({"maintenance": {"enabled": True}}, "is in maintenance"),
    "full": ({"peers": 10}, "is full (10 of 10 peers)"),
    "more than full": ({"peers": 11}, "is full (11 of 10 peers)"),
    "nothing to give": ({"peers": 0, "capacity": 0}, "is full (0 of 0 peers)"),
    "its addresses rest": ({"full": "no free address in 10.8.0.0/24"}, "is full (no free address in 10.8.0.0/24)"),
}


@pytest.mark.parametrize("case", OBJECTIONS)
def test_a_server_is_passed_over_for_each_reason_and_the_reason_is_told(case: str) -> None:
    known, words = OBJECTIONS[case]
    bad = candidate("amsterdam", **known)
    assert objection(bad) == words
    assert chosen(bad) == f"isp/amsterdam {words}"
    assert chosen(bad, candidate("zurich", peers=9)) == "zurich"


def test_the_first_objection_is_the_one_that_is_told() -> None:
    everything = {name: value for known, _ in OBJECTIONS.values() for name, value in known.items()}
    assert objection(candidate(**everything)) == "is being deleted"


def test_a_server_that_is_not_ready_or_nearly_full_is_not_passed_over() -> None:
    assert objection(candidate(ready=False)) is None
    assert objection(candidate(peers=9)) is None


@pytest.mark.parametrize(
    ("candidates", "best"),
    [
        ([("a", 5, 10), ("b", 4, 10)], "b"),
        ([("a", 50, 1000), ("b", 4, 10)], "a"),  # by share, not by number
        ([("b", 5, 10), ("a", 5, 10)], "a"),
        ([("b", 0, 10), ("a", 0, 1000)], "a"),
        ([("a", 10, 10), ("b", 9, 10)], "b"),
    ],
)
def test_the_least_utilised_wins_and_names_decide_between_equals(
    candidates: list[tuple[str, int, int]], best: str
) -> None:
    found = [candidate(name, peers, capacity) for name, peers, capacity in candidates]
    assert chosen(*found) == chosen(*reversed(found)) == best


def test_namespaces_count_before_names_between_equals() -> None:
    spec = {"allowedNamespaces": {"from": "All"}}
    assert chosen(candidate("a", namespace="z", **spec), candidate("b", namespace="c", **spec)) == "b"


def test_a_server_that_is_not_ready_comes_last_but_is_better_than_none() -> None:
    unready = candidate("a", ready=False)
    assert chosen(unready, candidate("b", peers=9)) == "b"
    assert chosen(unready, candidate("b", peers=10)) == "a"


@pytest.mark.parametrize(
    ("selector", "matching"),
    [
        ({}, {"plain", "gold", "far"}),
        ({"matchLabels": GOLD}, {"gold"}),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, {"plain", "far"}),
        ({"location": {"country": "JP"}}, {"far"}),
        ({"matchLabels": GOLD, "location": {"country": "JP"}}, set()),
    ],
)
def test_labels_and_location_must_match(selector: dict[str, Any], matching: set[str]) -> None:
    servers = {
        "plain": candidate("plain"),
        "gold": candidate("gold", labels=GOLD),
        "far": candidate("far", location={"country": "JP", "city": "Osaka"}),
    }
    assert {name for name, one in servers.items() if chosen(one, selector=selector) == name} == matching


# What a tenant is told. --------------------------------------------------------------------------------------------


def test_a_tenant_gets_only_servers_that_admit_it() -> None:
    closed = candidate("closed", labels=GOLD)
    everybody = candidate("everybody", peers=9, allowedNamespaces={"from": "All"})
    some = candidate("some", peers=8, allowedNamespaces={"from": "Selector", "selector": {"matchLabels": GOLD}})
    assert chosen(closed, everybody, some) == "closed"
    assert chosen(closed, everybody, some, namespace="tenant") == "everybody"
    assert chosen(closed, everybody, some, namespace="tenant", labels=GOLD) == "some"


@pytest.mark.parametrize("selector", [{}, {"matchLabels": GOLD}, {"matchLabels": {"tier": "none"}}])
def test_a_tenant_does_not_learn_of_servers_that_do_not_admit_it(selector: dict[str, Any]) -> None:
    hidden = [candidate(f"secret-{number}", labels=GOLD, namespace="elsewhere") for number in range(3)]
    hidden += [candidate("secret-full", peers=10, labels=GOLD)]
    shown = candidate("shown", peers=10, labels=GOLD, allowedNamespaces={"from": "All"})
    for visible in ([], [shown]):
        said = chosen(*hidden, *visible, selector=selector, namespace="tenant")
        assert said == chosen(*visible, selector=selector, namespace="tenant")
        assert "secret" not in said and "elsewhere" not in said


def test_nobody_admits_the_tenant() -> None:
    assert chosen(candidate(), namespace="tenant") == "no WireGuardServer admits peers of this namespace"


def test_no_server_matches_the_selector() -> None:
    said = chosen(candidate("b"), candidate("a"), selector={"matchLabels": GOLD})
    assert said == "spec.serverSelector matches none of the 2 servers that admit this namespace: isp/a, isp/b"


def test_servers_that_do_not_match_are_not_told_among_those_that_were_passed_over() -> None:
    said = chosen(
        candidate("other", peers=10), candidate("gold", peers=10, labels=GOLD), selector={"matchLabels": GOLD}
    )
    assert said == "isp/gold is full (10 of 10 peers)"


def test_a_message_is_bounded_and_does_not_depend_on_the_order() -> None:
    full = [candidate(f"s{number:03}", peers=10) for number in range(100)]
    said = chosen(*full)
    assert said == chosen(*reversed(full))
    assert said.startswith("isp/s000 is full") and said.endswith("isp/s004 is full (10 of 10 peers); and 95 more")
    none = chosen(*full, selector={"matchLabels": GOLD})
    assert none == chosen(*reversed(full), selector={"matchLabels": GOLD})
    assert "none of the 100 servers" in none and len(none) < 200


def test_a_server_whose_system_cannot_do_what_the_peer_asks_for_is_passed_over() -> None:
    plane = {"type": "WGEasy", "wgEasy": {"url": "https://a"}, "credentialsSecretRef": {"name": "login"}}
    easy = candidate("easy", dataPlane=plane)
    lenient = candidate("lenient", dataPlane={**plane, "degradations": ["Limits"]})
    fast = peer(serverSelector={}, limits={"download": "10M"})
    assert fast.spec.server_selector is not None
    assert choose(peer(serverSelector={}), fast.spec.server_selector, [easy], {}) == Key("isp", "easy")
    found = choose(fast, fast.spec.server_selector, [easy], {})
    assert isinstance(found, Problem)
    assert found.message == "isp/easy cannot do spec.limits (wg-easy 15)"
    assert choose(fast, fast.spec.server_selector, [easy, lenient], {}) == Key("isp", "lenient")
    busy = candidate("own", peers=9)  # busier, but nothing is left out there
    assert choose(fast, fast.spec.server_selector, [easy, lenient, busy], {}) == Key("isp", "own")
