"""The host bundle: one file with all that an agent outside the cluster needs to join.

It holds the agent's TLS private key: it is written with mode 0600 and is best piped straight to the host. A host that
enrols makes its bundle itself, and no key leaves it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field


class Bundle(BaseModel):
    """An agent's identity; ``host-bundle`` or ``host-enroll`` writes it, ``wireguard-operator agent`` reads it."""

    server: str
    """namespace/name of the WireGuardServer."""
    listen: str
    """host:port to listen on, taken from the server's URL; empty: the agent dials the controller."""
    certificate: str
    """PEM, the agent's certificate."""
    private_key: str = Field(repr=False)
    """PEM, the agent's TLS key."""
    ca: str
    """PEM, the operator's CA: who may speak to this agent."""
    controller: str = ""
    """https URL of the controller's port for agents: to renew the certificate, and to dial."""


def from_directory(directory: Path, server: str, listen: str) -> Bundle:
    """The bundle of a pod, from a mounted Secret of type kubernetes.io/tls with ca.crt. Raises OSError."""
    certificate, key, ca = ((directory / name).read_text() for name in ("tls.crt", "tls.key", "ca.crt"))
    return Bundle(server=server, listen=listen, certificate=certificate, private_key=key, ca=ca)
