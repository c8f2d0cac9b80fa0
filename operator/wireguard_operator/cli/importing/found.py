"""A WireGuard server as it was found somewhere: what every source is read into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...domain.keys import Hidden
from ..cluster import CommandError


class SourceError(CommandError):
    """The source cannot be read; the text says where and holds no key."""


def read_text(path: Path) -> str:
    """What is in a file. Raises SourceError."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}") from None


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer of the device."""

    public_key: str
    allowed_ips: tuple[str, ...] = ()
    preshared_key: Hidden | None = None
    name: str = ""
    """What people call it; empty where the source does not say."""
    private_key: Hidden | None = None
    """Of sources that keep it, which WireGuard itself does not."""
    keepalive: int = 0
    """Seconds, on the server's side."""


@dataclass(frozen=True, slots=True)
class Device:
    """The device itself and its peers."""

    private_key: Hidden
    listen_port: int
    addresses: tuple[str, ...]
    """With the prefix length, e.g. 10.8.0.1/24."""
    peers: tuple[Peer, ...]
    mtu: int | None = None
    ignored: tuple[str, ...] = ()
    """Settings of the source that have no counterpart, as the source names them."""
