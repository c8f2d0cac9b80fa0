"""Peers that are made with kubectl and looked at through the gateway."""

from __future__ import annotations

from typing import Any

from gateway_client import Provider
from isp import apply_peer

from tools.lab import wait_for
from wireguard_operator.gateway.cache.identity import peer_id


def id_of(provider: Provider, name: str) -> str:
    """The id by which the REST API knows a peer of the first tenant."""
    return peer_id(provider.lab.get("wgp", name))


def add_peer(provider: Provider, name: str, subscriber: dict[str, str] | None = None, **spec: Any) -> str:
    """A peer that the gateway knows of; its id."""
    apply_peer(provider.lab, name, **({"subscriber": subscriber} if subscriber else {}), **spec)
    id_ = id_of(provider, name)
    url = f"/peers/{id_}/connection-logs"
    wait_for(f"the gateway to know {name}", lambda: provider.one.get(url).status_code == 200, 20)
    return id_
