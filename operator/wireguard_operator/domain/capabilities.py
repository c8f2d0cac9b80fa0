"""What each kind of data plane can do, and what a peer asks for that it cannot.

Peers are written without regard to what carries them. So whatever a system cannot do is a decision of its own: a peer
that asks for it is refused with the field's name, or goes without where the server allows that, and is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from ..api.data_plane import DataPlaneType, Feature, FirezoneEdition
from ..api.keys import PresharedKeyPolicy
from ..api.peer import PeerSpec
from ..api.server import ServerSpec


class Capability(StrEnum):
    """Something that a data plane can do for a peer."""

    CONFIGURATION = "Configuration"
    DEVICE_KEY = "DeviceKey"
    IMPORTED_KEY = "ImportedKey"
    KEY_OVERLAP = "KeyOverlap"
    PRESHARED_KEY = "PresharedKey"
    NO_PRESHARED_KEY = "NoPresharedKey"
    ADDRESSES = "Addresses"
    ROUTES = "Routes"
    ACCESS = "Access"
    LIMITS = "Limits"
    CLIENT = "Client"
    COUNTERS = "Counters"
    HANDSHAKES = "Handshakes"


MEANINGS: dict[Capability, str] = {
    Capability.CONFIGURATION: "a peer's Secret has a `wg0.conf` for any WireGuard client",
    Capability.DEVICE_KEY: "`spec.publicKey`: the device keeps its private key",
    Capability.IMPORTED_KEY: "`spec.privateKeySecretRef`: a key that was made elsewhere",
    Capability.KEY_OVERLAP: "`spec.keyOverlapSeconds`: former keys work until the new ones are used",
    Capability.PRESHARED_KEY: "`spec.presharedKey.secretRef`: a preshared key from a Secret",
    Capability.NO_PRESHARED_KEY: "`spec.presharedKey.policy: Never`: a tunnel without one",
    Capability.ADDRESSES: "`spec.addresses`: the peer has the addresses that it asks for",
    Capability.ROUTES: "`spec.routes`: networks behind the peer",
    Capability.ACCESS: "`spec.access`, and suspension into a walled garden",
    Capability.LIMITS: "`spec.limits`, and suspension that slows down",
    Capability.CLIENT: "`spec.client`: DNS, MTU and routes of the client",
    Capability.COUNTERS: "`status.traffic`: bytes in both directions",
    Capability.HANDSHAKES: "`status.online`; `status.lastHandshakeTime`, or when the client was last connected",
}


class System(StrEnum):
    """What carries a server's peers."""

    OWN = "Pod, Host"
    WG_EASY = "wg-easy 15"
    FIREZONE_LEGACY = "Firezone 0.7"
    FIREZONE = "Firezone 1.x"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do."""
        return CAPABILITIES[self]


CAPABILITIES: dict[System, frozenset[Capability]] = {
    System.OWN: frozenset(Capability),
    # It makes all keys itself, and takes none back.
    System.WG_EASY: frozenset(
        {
            Capability.CONFIGURATION,
            Capability.ADDRESSES,
            Capability.ROUTES,
            Capability.CLIENT,
            Capability.COUNTERS,
            Capability.HANDSHAKES,
        }
    ),
    System.FIREZONE_LEGACY: frozenset(
        {
            Capability.CONFIGURATION,
            Capability.DEVICE_KEY,
            Capability.IMPORTED_KEY,
            Capability.PRESHARED_KEY,
            Capability.ADDRESSES,
            Capability.CLIENT,
            Capability.COUNTERS,
            Capability.HANDSHAKES,
        }
    ),
    # No WireGuard manager at all: a peer is an account for Firezone's own client, which makes its keys and addresses.
    # Instead of handshakes it says when a client was last connected.
    System.FIREZONE: frozenset({Capability.HANDSHAKES}),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a peer may ask for by a field."""

    field: str
    capability: Capability
    is_made: Callable[[PeerSpec], bool]
    feature: Feature | None = None
    """As which the server may allow to go without; None: the tunnel would not be the same without."""


WISHES = (
    Wish("spec.publicKey", Capability.DEVICE_KEY, lambda spec: spec.public_key is not None),
    Wish("spec.privateKeySecretRef", Capability.IMPORTED_KEY, lambda spec: spec.private_key_secret_ref is not None),
    Wish(
        "spec.presharedKey.secretRef",
        Capability.PRESHARED_KEY,
        lambda spec: spec.preshared_key.secret_ref is not None,
        Feature.PRESHARED_KEY,
    ),
    Wish(
        "spec.presharedKey.policy",
        Capability.NO_PRESHARED_KEY,
        lambda spec: spec.preshared_key.policy is PresharedKeyPolicy.NEVER,
        Feature.PRESHARED_KEY,
    ),
    Wish("spec.addresses", Capability.ADDRESSES, lambda spec: bool(spec.addresses), Feature.ADDRESSES),
    Wish("spec.routes", Capability.ROUTES, lambda spec: bool(spec.routes), Feature.ROUTES),
    Wish("spec.access", Capability.ACCESS, lambda spec: spec.access is not None, Feature.ACCESS),
    Wish(
        "spec.limits",
        Capability.LIMITS,
        lambda spec: spec.limits is not None and (spec.limits.download or spec.limits.upload) is not None,
        Feature.LIMITS,
    ),
    Wish(
        "spec.client",
        Capability.CLIENT,
        lambda spec: (
            any(part is not None for part in (spec.client.dns, spec.client.allowed_ips, spec.client.mtu))
            or spec.client.persistent_keepalive is not None
        ),
        Feature.CLIENT,
    ),
)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a peer asks for and does not get."""

    refused: tuple[str, ...] = ()
    """Fields for which it is refused."""
    forgone: tuple[str, ...] = ()
    """Fields that are left out, as the server allows."""


NOTHING = Shortfall()


def shortfall(peer: PeerSpec, server: ServerSpec, system: System) -> Shortfall:
    """What the system cannot do of what the peer asks for."""
    if system is System.OWN:
        return NOTHING
    lacking = [wish for wish in _lacking(system) if wish.is_made(peer)]
    allowed = server.data_plane.degradations
    forgone = [wish.field for wish in lacking if wish.feature in allowed]
    if Capability.KEY_OVERLAP not in system.capabilities and peer.key_generation and peer.key_overlap_seconds:
        # There by default: whoever has new keys made wants them more than an overlap.
        forgone.append("spec.keyOverlapSeconds")
    return Shortfall(tuple(wish.field for wish in lacking if wish.feature not in allowed), tuple(forgone))


def asked_for(peer: PeerSpec) -> tuple[str, ...]:
    """The fields by which the peer asks for something."""
    return tuple(wish.field for wish in WISHES if wish.is_made(peer))


def _lacking(system: System) -> Iterator[Wish]:
    return (wish for wish in WISHES if wish.capability not in system.capabilities)


def system_of(server: ServerSpec) -> System | None:
    """What carries the server's peers, as far as its specification says; None: it has to be asked for its edition."""
    plane = server.data_plane
    if plane.type is DataPlaneType.WG_EASY:
        return System.WG_EASY
    if plane.firezone is None:
        return System.OWN
    return {FirezoneEdition.LEGACY: System.FIREZONE_LEGACY, FirezoneEdition.CURRENT: System.FIREZONE}.get(
        plane.firezone.edition
    )
