"""When an object counts as it should be."""

import copy
from typing import Any

import pytest
from objects import server

from wireguard_operator.domain import server_pods
from wireguard_operator.domain.comparison import covers


def test_what_others_add_is_no_drift_and_what_they_change_is() -> None:
    wanted = server_pods.deployment(server(dataPlane={}), "example/operator:1")
    have = copy.deepcopy(wanted)
    have["status"] = {"replicas": 1}
    have["metadata"]["uid"] = "u"
    have["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    have["spec"]["template"]["spec"]["containers"][0]["terminationMessagePath"] = "/dev/termination-log"
    assert covers(have, wanted)
    for spoil in (
        lambda o: o["spec"].update(replicas=0),
        lambda o: o["metadata"]["labels"].clear(),
        lambda o: o["spec"]["template"]["spec"]["containers"][0].update(image="evil"),
        lambda o: o["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"}),
        lambda o: o["spec"]["template"]["spec"]["containers"][0]["args"].append("--more"),
    ):
        spoilt = copy.deepcopy(have)
        spoil(spoilt)
        assert not covers(spoilt, wanted)


@pytest.mark.parametrize(
    ("actual", "wanted", "is_covered"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({}, {"a": 1}, False),
        ({}, {"a": None}, False),
        ({"a": 1}, {"a": {"b": 1}}, False),
        ([{"a": 1, "default": True}], [{"a": 1}], True),
        (["10.8.0.2", "fd08::2"], ["10.8.0.2"], False),
        (["fd08::2", "10.8.0.2"], ["10.8.0.2", "fd08::2"], False),
        (None, [], False),
    ],
)
def test_more_is_no_difference_in_an_object_and_is_one_in_a_list(actual: Any, wanted: Any, is_covered: bool) -> None:
    assert covers(actual, wanted) is is_covered
