"""controller.watch.children: what is told of the objects that we made, and what is kept of them."""

from __future__ import annotations

from typing import Any

from wireguard_operator.api.base import Key
from wireguard_operator.controller.watch.children import Children
from wireguard_operator.kube.resources import DEPLOYMENTS, PODS, SECRETS

BERLIN = Key("isp", "berlin")


class Watched:
    """Children, and what they have told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Key]] = []
        self.children = Children(
            lambda kind, key: self.told.append((kind, key)), lambda key: self.told.append(("", key))
        )

    def take(self) -> list[tuple[str, Key]]:
        told, self.told = self.told, []
        return told


def body(version: int, uid: str = "u1", **parts: Any) -> dict[str, Any]:
    owner = {"kind": "WireGuardServer", "name": "berlin"}
    meta = {
        "namespace": "isp",
        "name": "child",
        "uid": uid,
        "resourceVersion": str(version),
        "ownerReferences": [owner],
    }
    return {"metadata": {**meta, "managedFields": [{}], "labels": {"wireguard.dotmac.io/server": "berlin"}}, **parts}


def test_an_owner_is_told_of_what_is_new_and_of_nothing_else() -> None:
    watched = Watched()
    for version, parts, told in (
        (5, {"spec": {"replicas": 1}}, True),
        (5, {"spec": {"replicas": 2}}, False),  # the same word twice
        (4, {"spec": {"replicas": 2}}, False),  # a late one
        (6, {"spec": {"replicas": 1}}, False),  # somebody's annotation
        (7, {"spec": {"replicas": 1}, "status": {"replicas": 1}}, True),
    ):
        watched.children.see(DEPLOYMENTS, body(version, **parts))
        assert watched.take() == ([("WireGuardServer", BERLIN)] if told else []), version


def test_a_secret_is_kept_without_the_record_of_its_managers_and_whoever_wrote_it_is_not_told() -> None:
    watched = Watched()
    watched.children.see(SECRETS, body(5, data={"a": "eA=="}), written=True)
    assert watched.take() == []
    kept = watched.children.get(SECRETS, Key("isp", "child"))
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
    watched.children.see(SECRETS, body(6, data={"a": "eQ=="}))
    assert watched.take() == [("WireGuardServer", BERLIN)]


def test_what_is_gone_is_known_by_its_uid() -> None:
    watched = Watched()
    watched.children.see(SECRETS, body(5, uid="u2"))
    watched.take()
    watched.children.lose(SECRETS, Key("isp", "child"), "u1")
    assert watched.children.uids(SECRETS) == {Key("isp", "child"): "u2"}
    assert watched.take() == []
    watched.children.lose(SECRETS, Key("isp", "child"), "u2")
    assert watched.children.uids(SECRETS) == {}
    assert watched.take() == [("WireGuardServer", BERLIN)]


def test_a_pods_server_is_known_by_its_label_and_told_of_every_change() -> None:
    watched = Watched()
    for version in (5, 6):
        watched.children.see(PODS, body(version))
        assert watched.take() == [("", BERLIN)]
    assert [pod["metadata"]["name"] for pod in watched.children.pods_of(BERLIN)] == ["child"]
    watched.children.lose(PODS, Key("isp", "child"))
    assert watched.take() == [("", BERLIN)]
    assert watched.children.pods_of(BERLIN) == []
