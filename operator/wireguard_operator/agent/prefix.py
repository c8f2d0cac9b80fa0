"""A prefix of allowed IPs as the device prints it. Pure.

A snapshot has tens of thousands of them, so they are records of numbers, and IPv4, which most of them are, is read
without ``ipaddress``: its objects cost a tenth of the time that the device takes for the whole snapshot.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import NamedTuple, Self

_BITS = {4: 32, 6: 128}


class Prefix(NamedTuple):
    """A network."""

    text: str
    """Normalised: no host bits, always with its length."""
    version: int
    first: int
    """The address as a number."""
    length: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one, with host bits or without length as ``wg`` takes it. Raises ValueError, as ``ipaddress`` does."""
        if (plain := _read_ipv4(text)) is None:
            return cls.of(ipaddress.ip_network(text, strict=False))
        address, number, bits = plain
        first = number >> (_BITS[4] - bits) << (_BITS[4] - bits)
        if first != number:
            address = socket.inet_ntop(socket.AF_INET, first.to_bytes(4))
        return cls(f"{address}/{bits}", 4, first, bits)

    @classmethod
    def of(cls, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Self:
        """The same as a record."""
        return cls(str(network), network.version, int(network.network_address), network.prefixlen)

    def holds(self, other: Prefix) -> bool:
        """Whether all addresses of ``other`` are in it."""
        if self.version != other.version or self.length > other.length:
            return False
        return (self.first ^ other.first) >> (_BITS[self.version] - self.length) == 0


def _read_ipv4(text: str) -> tuple[str, int, int] | None:
    """Address, its number and length; None for whatever is unusual, wrong or IPv6."""
    address, slash, length = text.partition("/")
    if not slash or ":" in address or not length.isascii() or not length.isdecimal() or int(length) > _BITS[4]:
        return None
    try:
        return address, int.from_bytes(socket.inet_pton(socket.AF_INET, address)), int(length)
    except (OSError, UnicodeError, ValueError):
        return None
