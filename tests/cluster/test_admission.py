"""What the API server refuses, and the sentence it says."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tools.controlplane import ControlPlane
from tools.controlplane.plane import ControlPlaneError
from tools.lab import REPOSITORY
from wireguard_operator.api.crd import KINDS, manifest

SERVER = {
    "apiVersion": "wireguard.dotmac.io/v1alpha1",
    "kind": "WireGuardServer",
    "metadata": {"name": "berlin"},
    "spec": {
        "endpoint": {"host": "vpn.example.net"},
        "networks": ["10.8.0.0/24"],
        "dataPlane": {"type": "Host", "host": {"url": "https://192.0.2.1:8443"}},
    },
}
PEER = {
    "apiVersion": "wireguard.dotmac.io/v1alpha1",
    "kind": "WireGuardPeer",
    "metadata": {"name": "alice"},
    "spec": {"serverRef": {"name": "berlin"}},
}
KEY31 = "A" * 41 + "E="
KEY33 = "B" * 44

BAD = [
    # object, path, value, what the user must read
    (PEER, "spec.publickey", "x", 'unknown field "spec.publickey"'),
    (SERVER, "spec.network", [], 'unknown field "spec.network"'),
    (PEER, "spec.publicKey", KEY31, "32 bytes in base64"),
    (PEER, "spec.publicKey", KEY33, "32 bytes in base64"),
    (PEER, "spec.publicKey", "A" * 43 + "=", "all-zero key"),
    (PEER, "spec.publicKey", "B" * 42 + "B=", "32 bytes in base64"),
    (PEER, "spec.serverRef", {}, "spec.serverRef.name: Required value"),
    (PEER, "spec.serverRef.name", "Berlin!", "lower-case letters"),
    (PEER, "spec.enabled", "yes", "must be of type boolean"),
    (PEER, "spec.client", {"allowedIPs": ["10.0.0.1"]}, "CIDR notation"),
    (PEER, "spec.client", {"allowedIPs": ["10.0.0.1/8"]}, "host bits set"),
    (PEER, "spec.client", {"mtu": 576}, "greater than or equal to 1280"),
    (PEER, "spec.client", {"dns": ["not a name"]}, "address of a DNS server"),
    (PEER, "spec.expiresAt", "tomorrow", "must be of type date-time"),
    (PEER, "spec.expiresAt", "2026-01-01", "must be of type date-time"),
    (PEER, "spec.suspensions", [{"reason": "abuse"}, {"reason": "abuse"}], "Duplicate value"),
    (PEER, "spec.suspensions", [{"reason": "No payment"}], "e.g. non-payment or abuse"),
    (PEER, "spec.suspensions", [{"by": "noc"}], "reason: Required value"),
    (PEER, "metadata.name", "a" * 64, "may not be more than 63"),
    (SERVER, "spec.networks", [], "at least 1 item"),
    (SERVER, "spec.networks", ["10.8.0.0/33"], "CIDR notation"),
    (SERVER, "spec.networks", ["10.8.0.5/24"], "host bits set"),
    (SERVER, "spec.networks", ["10.8.0.0/31"], "at most /30 for IPv4"),
    (SERVER, "spec.networks", ["fd00::/127"], "/126 for IPv6"),
    (SERVER, "spec.networks", ["10.8.0.0/24", "10.9.0.0/24"], "not two of one family"),
    (SERVER, "spec.listenPort", 70000, "less than or equal to 65535"),
    (SERVER, "spec.endpoint.host", "vpn.example.net:51820", "without port or brackets"),
    (SERVER, "spec.dataPlane.host.url", "http://192.0.2.1", "must be the https URL"),
    (SERVER, "spec.dataPlane.type", "Cloud", "supported values"),
]


def with_value(body: dict[str, Any], path: str, value: object) -> str:
    body = copy.deepcopy(body)
    place = body
    *parents, last = path.split(".")
    for part in parents:
        place = place[part]
    place[last] = value
    return json.dumps(body)


@pytest.fixture(scope="module", autouse=True)
def kinds(plane: ControlPlane) -> None:
    plane.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
    for plural in ("wireguardservers", "wireguardpeers"):
        plane.kubectl("wait", "crd", f"{plural}.wireguard.dotmac.io", "--for=condition=Established")


def apply(plane: ControlPlane, text: str) -> str:
    return plane.kubectl("-n", "default", "apply", "--dry-run=server", "-f", "-", stdin=text)


@pytest.mark.parametrize("body", [SERVER, PEER], ids=lambda body: body["kind"])
def test_the_least_that_an_object_needs_is_accepted(plane: ControlPlane, body: dict[str, Any]) -> None:
    assert "created" in apply(plane, json.dumps(body))


@pytest.mark.parametrize(("body", "path", "value", "text"), BAD)
def test_a_bad_object_is_refused_with_a_helpful_text(
    plane: ControlPlane, body: dict[str, Any], path: str, value: object, text: str
) -> None:
    with pytest.raises(ControlPlaneError) as refusal:
        apply(plane, with_value(body, path, value))
    assert text in str(refusal.value)


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "manifests" / "samples").glob("*.yaml")), ids=lambda path: path.name
)
def test_every_sample_is_accepted(plane: ControlPlane, path: Path) -> None:
    assert "created" in apply(plane, path.read_text())


def test_the_generated_files_are_those_of_the_models() -> None:
    for kind in KINDS:
        assert (REPOSITORY / "crds" / f"{kind.crd_name}.yaml").read_text() == manifest(kind), "run `make crds`"
