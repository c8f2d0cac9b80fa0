"""A peer's ``wg0.conf``, from the Secret in which the controller keeps it."""

from __future__ import annotations

from ...api.base import Key
from ...domain import secrets
from ...domain.config_file import ConfigFile, UnreadableConfig, read
from ...kube.client import KubeClient
from ...kube.errors import NotFound
from ...kube.resources import SECRETS
from ..errors import Refusal

EARLY = "the configuration is not there yet: the peer has no addresses or keys; its conditions say what it waits for"


async def config_text(client: KubeClient, peer: Key, uid: str) -> str | None:
    """The text; None when there is none, or it is that of an earlier peer of the name. Raises KubeError."""
    try:
        secret = await client.get(SECRETS, peer.namespace, secrets.peer_secret_name(peer.name))
    except NotFound:
        return None
    owners = secret["metadata"].get("ownerReferences") or ()
    return secrets.read(secret, secrets.CONFIG) if any(owner.get("uid") == uid for owner in owners) else None


async def config_of(client: KubeClient, peer: Key, uid: str) -> ConfigFile:
    """Its values. Raises Refusal and KubeError."""
    text = await config_text(client, peer, uid)
    if text is None:
        raise Refusal(409, EARLY)
    try:
        return read(text)
    except UnreadableConfig as error:
        raise Refusal(409, f"{error}; Secret {secrets.peer_secret_name(peer.name)} was changed by hand") from None
