"""Label selectors as Kubernetes has them, locations, and the namespaces that a server takes peers from."""

from typing import Any

import pytest

from tests.unit.domain.objects import server
from wireguard_operator.api.selectors import LabelSelector, Location, Region
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.domain.tenancy import admits, is_at, matches


def requirement(operator: str, *values: str, key: str = "tier") -> dict[str, Any]:
    return {"key": key, "operator": operator} | ({"values": values} if values else {})


# What metav1.LabelSelectorAsSelector says: {} and tier="" differ, NotIn holds without the label.
ABSENT: dict[str, str] = {}
EMPTY, GOLD, TIN = {"tier": ""}, {"tier": "gold"}, {"tier": "tin"}


@pytest.mark.parametrize(
    ("operator", "values", "absent", "empty", "gold", "tin"),
    [
        ("In", ("gold",), False, False, True, False),
        ("In", ("gold", "tin"), False, False, True, True),
        ("In", ("", "gold"), False, True, True, False),
        ("NotIn", ("gold",), True, True, False, True),
        ("NotIn", ("gold", "tin"), True, True, False, False),
        ("NotIn", ("",), True, False, True, True),
        ("Exists", (), False, True, True, True),
        ("DoesNotExist", (), True, False, False, False),
    ],
)
def test_operators_are_those_of_kubernetes(
    operator: str, values: tuple[str, ...], absent: bool, empty: bool, gold: bool, tin: bool
) -> None:
    selector = LabelSelector.model_validate({"matchExpressions": [requirement(operator, *values)]})
    assert [matches(selector, labels) for labels in (ABSENT, EMPTY, GOLD, TIN)] == [absent, empty, gold, tin]


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ({}, {}, True),
        ({}, {"a": "b"}, True),
        ({"matchLabels": {}, "matchExpressions": []}, {"a": "b"}, True),
        ({"matchLabels": GOLD}, GOLD, True),
        ({"matchLabels": GOLD}, GOLD | {"a": "b"}, True),
        ({"matchLabels": GOLD}, TIN, False),
        ({"matchLabels": GOLD}, {}, False),
        ({"matchLabels": GOLD}, {"tier": "GOLD"}, False),
        ({"matchLabels": EMPTY}, EMPTY, True),
        ({"matchLabels": EMPTY}, {}, False),
        ({"matchLabels": GOLD | {"a": "b"}}, GOLD, False),
        ({"matchLabels": GOLD | {"a": "b"}}, GOLD | {"a": "b"}, True),
        ({"matchLabels": GOLD, "matchExpressions": [requirement("Exists", key="a")]}, GOLD, False),
        ({"matchLabels": GOLD, "matchExpressions": [requirement("Exists", key="a")]}, GOLD | {"a": ""}, True),
        ({"matchExpressions": [requirement("In", "gold"), requirement("NotIn", "gold")]}, GOLD, False),
        ({"matchExpressions": [requirement("Exists"), requirement("NotIn", "tin")]}, GOLD, True),
    ],
)
def test_all_requirements_must_hold_and_without_any_everything_matches(
    selector: dict[str, Any], labels: dict[str, str], expected: bool
) -> None:
    assert matches(LabelSelector.model_validate(selector), labels) is expected


OSAKA = {"name": "Osaka 1", "country": "JP", "region": "Kansai", "city": "Osaka", "provider": "acme"}


@pytest.mark.parametrize(
    ("have", "wanted", "expected"),
    [
        (None, {}, True),
        (None, {"country": "JP"}, False),
        (OSAKA, {}, True),
        *((OSAKA, {part: value}, True) for part, value in OSAKA.items()),
        *((OSAKA, {part: value + "x"}, False) for part, value in OSAKA.items()),
        *(({p: v for p, v in OSAKA.items() if p != part}, {part: OSAKA[part]}, False) for part in OSAKA),
        (OSAKA, OSAKA, True),
        (OSAKA, OSAKA | {"city": "Kyoto"}, False),
        (OSAKA, {"city": "osaka"}, False),
        (OSAKA | {"latitude": 34.7, "longitude": 135.5}, {"city": "Osaka"}, True),
    ],
)
def test_every_part_of_a_location_that_is_given_must_be_equal(
    have: dict[str, Any] | None, wanted: dict[str, str], expected: bool
) -> None:
    location = Location.model_validate(have) if have is not None else None
    assert is_at(location, Region.model_validate(wanted)) is expected


def with_gold(origin: str) -> WireGuardServer:
    selector = {"selector": {"matchLabels": GOLD}} if origin == "Selector" else {}
    return server(allowedNamespaces={"from": origin} | selector)


@pytest.mark.parametrize(
    ("origin", "own", "gold", "tin"),
    [("Same", True, False, False), ("All", True, True, True), ("Selector", True, True, False)],
)
def test_a_server_admits_its_own_namespace_and_those_that_it_says(
    origin: str, own: bool, gold: bool, tin: bool
) -> None:
    berlin = with_gold(origin)
    assert admits(berlin, "isp", {}) is own
    assert admits(berlin, "tenant", GOLD) is gold
    assert admits(berlin, "tenant", TIN) is tin


def test_a_server_that_says_nothing_admits_its_own_namespace_only() -> None:
    assert admits(server(), "isp", {}) and not admits(server(), "tenant", {"kubernetes.io/metadata.name": "isp"})


def test_a_selector_that_is_missing_admits_nobody_and_an_empty_one_everybody() -> None:
    assert not admits(server(allowedNamespaces={"from": "Selector"}), "tenant", GOLD)
    assert admits(server(allowedNamespaces={"from": "Selector", "selector": {}}), "tenant", {})
    # The API server refuses a selector beside another origin; it must not open anything.
    assert not admits(server(allowedNamespaces={"from": "Same", "selector": {}}), "tenant", {})
