"""The Secrets that the operator keeps: how they are named, built and read back.

====================================  ====================================================================
``<server>-wireguard-server``         privateKey, publicKey, keyGeneration
``<server>-agent-tls``                tls.crt, tls.key, ca.crt: the agent's side of the link
``<server>-boot-<n>``                 part: a piece of the desired state, from which a new pod boots
``<peer>-wireguard``                  privateKey (unless the device keeps it), publicKey, presharedKey, wg0.conf;
                                      keySource, keyGeneration; and after a rotation previousPublicKey,
                                      previousPresharedKey, previousKeyUntil; and instead of all that, where a system
                                      has a client of its own: actorId, clientToken
====================================  ====================================================================
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..api.base import API_VERSION, Resource
from ..api.server import WireGuardServer
from .certificates import Certificate
from .key_ring import DEVICE, GENERATED, ClientKeys, KeyRing, PreviousKeys
from .keys import Hidden, InvalidKeyError, KeyPair, decode_key, pair_of

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "wireguard-operator"
SERVER_LABEL = "wireguard.dotmac.io/server"
"""On what is made for a server: its name."""
SELECTOR = f"{MANAGED_BY}={MANAGER}"

PRIVATE_KEY, PUBLIC_KEY, PRESHARED_KEY, CONFIG = "privateKey", "publicKey", "presharedKey", "wg0.conf"
ACTOR, TOKEN = "actorId", "clientToken"
GENERATION, SOURCE = "keyGeneration", "keySource"
GENERATION_DIGITS = 10
"""The most that a keyGeneration has."""
PREVIOUS_PUBLIC, PREVIOUS_PRESHARED, PREVIOUS_UNTIL = "previousPublicKey", "previousPresharedKey", "previousKeyUntil"


def server_secret_name(server: str) -> str:
    """The Secret with a server's keys."""
    return f"{server}-wireguard-server"


def agent_secret_name(server: str) -> str:
    """The Secret with the certificate of a server's agent."""
    return f"{server}-agent-tls"


def agent_secret_of(server: WireGuardServer) -> str:
    """The Secret with the certificate of this server's agent, which a host may have named itself."""
    host = server.spec.data_plane.host
    if host is not None and host.tls_secret_ref is not None:
        return host.tls_secret_ref.name
    return agent_secret_name(server.metadata.name)


def boot_secret_name(server: str, part: int) -> str:
    """A Secret with a part of what a new pod of the server boots from."""
    return f"{server}-boot-{part}"


def peer_secret_name(peer: str) -> str:
    """The Secret with a peer's keys and configuration."""
    return f"{peer}-wireguard"


def owner_reference(owner: Resource[Any, Any], kind: str) -> dict[str, Any]:
    """The owner reference by which Kubernetes deletes what we made together with the object it was made for."""
    meta = owner.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def build(
    owner: Resource[Any, Any], kind: str, name: str, data: Mapping[str, str | bytes], form: str = "Opaque"
) -> dict[str, Any]:
    """A Secret owned by ``owner``, in its namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": owner.metadata.namespace,
            "labels": {MANAGED_BY: MANAGER},
            "ownerReferences": [owner_reference(owner, kind)],
        },
        "type": form,
        "data": _encoded(data),
    }


def imported(name: str, namespace: str, keys: Mapping[str, Hidden]) -> dict[str, Any]:
    """A Secret with keys that somebody brings along; nobody owns it, so the operator leaves it alone."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": _encoded({key: value.reveal() for key, value in keys.items()}),
    }


def _encoded(data: Mapping[str, str | bytes]) -> dict[str, str]:
    return {
        key: base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
        for key, value in data.items()
    }


def belongs_to(secret: Mapping[str, Any], owner: Resource[Any, Any]) -> bool:
    """Whether the Secret was made for this very object and not for another of the same name."""
    return any(ref.get("uid") == owner.metadata.uid for ref in secret["metadata"].get("ownerReferences", ()))


def is_ours(secret: Mapping[str, Any]) -> bool:
    """Whether the operator made the Secret."""
    return bool(secret["metadata"].get("labels", {}).get(MANAGED_BY) == MANAGER)


def read(secret: Mapping[str, Any], key: str) -> str | None:
    """A value of the Secret as text; None when it is absent or not text."""
    encoded = (secret.get("data") or {}).get(key)
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded).decode()
    except ValueError:
        return None


def read_pair(secret: Mapping[str, Any], key: str = PRIVATE_KEY) -> KeyPair | None:
    """The key pair in the Secret; None when the private key is absent or is not a key."""
    private = read(secret, key)
    try:
        return pair_of(Hidden(private)) if private is not None else None
    except InvalidKeyError:
        return None


def read_preshared(secret: Mapping[str, Any], key: str = PRESHARED_KEY) -> Hidden | None:
    """The preshared key in the Secret; None when it is absent or is not a key."""
    preshared = read(secret, key)
    try:
        if preshared is None:
            return None
        decode_key(preshared)
    except InvalidKeyError:
        return None
    return Hidden(preshared.strip())


def read_generation(secret: Mapping[str, Any]) -> int:
    """The keyGeneration for which the keys were made."""
    text = read(secret, GENERATION) or ""
    return int(text) if text.isdecimal() and len(text) <= GENERATION_DIGITS else 0


def read_ring(secret: Mapping[str, Any]) -> KeyRing | None:
    """The key ring in a peer's Secret; None when it is spoilt."""
    actor, token = read(secret, ACTOR), read(secret, TOKEN)
    if actor and token:
        return KeyRing(ClientKeys(actor, None, None, Hidden(token)), read_generation(secret))
    pair, public = read_pair(secret), read(secret, PUBLIC_KEY)
    source = read(secret, SOURCE) or GENERATED
    if pair is None and (source != DEVICE or public is None):
        return None
    keys = ClientKeys(pair.public if pair else public or "", pair.private if pair else None, read_preshared(secret))
    return KeyRing(keys, read_generation(secret), source, _read_previous(secret))


def _read_previous(secret: Mapping[str, Any]) -> PreviousKeys | None:
    public, until = read(secret, PREVIOUS_PUBLIC), read(secret, PREVIOUS_UNTIL)
    try:
        if public is None or until is None:
            return None
        decode_key(public)
        end = datetime.fromisoformat(until)
    except ValueError:
        return None
    end = end if end.tzinfo is not None else end.replace(tzinfo=UTC)
    return PreviousKeys(public.strip(), read_preshared(secret, PREVIOUS_PRESHARED), end)


def read_certificate(secret: Mapping[str, Any]) -> Certificate | None:
    """Certificate and key in a Secret of type kubernetes.io/tls."""
    certificate, key = read(secret, "tls.crt"), read(secret, "tls.key")
    return Certificate(certificate, key) if certificate and key else None


def server_data(keys: KeyPair, generation: int) -> dict[str, str]:
    """Contents of a server's Secret."""
    data = {PRIVATE_KEY: keys.private.reveal(), PUBLIC_KEY: keys.public}
    if generation:
        data[GENERATION] = str(generation)
    return data


def peer_data(ring: KeyRing, config: str) -> dict[str, str]:
    """Contents of a peer's Secret; ``read_ring`` reads the same ring back."""
    keys = ring.current
    if keys.token is not None:
        generation = {GENERATION: str(ring.generation)} if ring.generation else {}
        return {ACTOR: keys.public, TOKEN: keys.token.reveal()} | generation
    data = {PUBLIC_KEY: keys.public, CONFIG: config}
    if keys.private is not None:
        data[PRIVATE_KEY] = keys.private.reveal()
    if keys.preshared is not None:
        data[PRESHARED_KEY] = keys.preshared.reveal()
    if ring.source != GENERATED:
        data[SOURCE] = ring.source
    if ring.generation:
        data[GENERATION] = str(ring.generation)
    if ring.previous is not None:
        data[PREVIOUS_PUBLIC] = ring.previous.public
        data[PREVIOUS_UNTIL] = ring.previous.until.isoformat()
        if ring.previous.preshared is not None:
            data[PREVIOUS_PRESHARED] = ring.previous.preshared.reveal()
    return data
