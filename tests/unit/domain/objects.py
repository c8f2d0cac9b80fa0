"""Servers, peers and keys that the tests of decisions are about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.client_configs import key
from wireguard_operator.api.base import Key
from wireguard_operator.api.conditions import Conditions
from wireguard_operator.api.peer import WireGuardPeer
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.domain.claims import Claim
from wireguard_operator.domain.key_ring import GENERATED, ClientKeys, KeyRing, PreviousKeys
from wireguard_operator.domain.keys import Hidden, pair_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PAST, FUTURE, LATER = "2026-06-01T11:00:00Z", "2026-06-01T13:00:00Z", "2026-06-01T14:00:00Z"


def hours(count: float) -> datetime:
    """So many hours from now."""
    return NOW + timedelta(hours=count)


def server(
    name: str = "berlin",
    namespace: str = "isp",
    status: dict[str, Any] | None = None,
    deleting: bool = False,
    **spec: Any,
) -> WireGuardServer:
    """A server with one network; ``spec`` as it stands in an object."""
    labels = spec.pop("labels", {})
    meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 3, "labels": labels}
    base = {
        "endpoint": {"host": "vpn.example.net"},
        "networks": ["10.8.0.0/24"],
        "dataPlane": {"type": "Host", "host": {"url": "https://192.0.2.1:8443"}},
    }
    return WireGuardServer.model_validate(
        {
            "metadata": meta | ({"deletionTimestamp": PAST} if deleting else {}),
            "spec": base | spec,
            "status": status or {},
        }
    )


def peer(
    name: str = "alice", namespace: str = "isp", status: dict[str, Any] | None = None, generation: int = 3, **spec: Any
) -> WireGuardPeer:
    """A peer of server berlin; ``spec`` as it stands in an object."""
    return WireGuardPeer.model_validate(
        {
            "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": generation},
            "spec": ({} if "serverSelector" in spec else {"serverRef": {"name": "berlin"}}) | spec,
            "status": status or {},
        }
    )


def claim(name: str, age: int, namespace: str = "isp") -> Claim:
    """The standing of a peer that was made ``age`` seconds after others."""
    return Claim(NOW + timedelta(seconds=age), f"uid-{name}", Key(namespace, name))


def client_keys(number: int = 2, preshared: int | None = None, device_held: bool = False) -> ClientKeys:
    """Keys that follow from the numbers."""
    pair = pair_of(Hidden(key(number)))
    return ClientKeys(
        pair.public, None if device_held else pair.private, Hidden(key(preshared)) if preshared is not None else None
    )


def ring(number: int = 2, preshared: int | None = 3, previous: int | None = None, until: datetime | None = None,
         generation: int = 0, source: str = GENERATED, device_held: bool = False) -> KeyRing:  # fmt: skip
    """A key ring; ``previous`` is the number of the keys before."""
    former = None
    if previous is not None:
        keys = client_keys(previous, previous + 100)
        former = PreviousKeys(keys.public, keys.preshared, until or hours(24))
    return KeyRing(client_keys(number, preshared, device_held), generation, source, former)


def said(conditions: Conditions) -> dict[str, str]:
    """Conditions in short, e.g. ``{"Ready": "False Waiting"}``."""
    return {condition.type: f"{condition.status} {condition.reason}" for condition in conditions}
