"""A ``wg0.conf`` of wg-quick (wg-quick(8), wg(8)), read without running anything that stands in it.

The format has no names for peers, so people write them into comments. A comment that directly precedes ``[Peer]`` or
is the first line of its section is taken for one, whatever words of a known tool stand before it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from ...domain.keys import Hidden, InvalidKeyError, decode_key
from .found import Device, Peer, SourceError, read_text

_LABELS = re.compile(r"^(?:begin_peer|client|peer|name|friendly_name|user)\b\s*[:=]?\s*", re.IGNORECASE)
_KEY = re.compile(r"[A-Za-z0-9+/]{42,}=?")
"""A key of 32 bytes is 44 characters of base64, the last of which is easily left out."""
_SECTION = re.compile(r"\[(\w+)\]")
_INTERFACE = {"privatekey", "listenport", "address", "mtu"}
_PEER = {"publickey", "presharedkey", "allowedips", "persistentkeepalive"}
_OTHER = {"endpoint", "fwmark", "dns", "table", "saveconfig", "preup", "postup", "predown", "postdown"}
"""What wg and wg-quick know besides."""
_COMMENTED_OUT = re.compile(rf"\[|(?:{'|'.join(sorted(_INTERFACE | _PEER | _OTHER))})\s*=", re.IGNORECASE)


@dataclass(slots=True)
class _Section:
    kind: str
    line: int
    name: str = ""
    values: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def last(self, key: str) -> tuple[int, str] | None:
        found = self.values.get(key)
        return found[-1] if found else None

    def items(self, key: str) -> list[tuple[int, str]]:
        return [
            (line, part.strip()) for line, text in self.values.get(key, ()) for part in text.split(",") if part.strip()
        ]


def read_file(path: Path) -> Device:
    """The device of a wg0.conf. Raises SourceError."""
    return read(read_text(path), str(path))


def read(text: str, where: str) -> Device:
    """The device of the text of a wg0.conf; ``where`` is its name in messages. Raises SourceError."""
    interface: _Section | None = None
    peers = []
    ignored: dict[str, None] = {}
    lines: dict[str, int] = {}
    for section in _sections(text, where):
        known = _INTERFACE if section.kind == "interface" else _PEER
        ignored |= {key: None for key in section.values if key not in known}
        if section.kind == "peer":
            peer = _peer(section, where)
            if (line := lines.setdefault(peer.public_key, section.line)) != section.line:
                raise SourceError(
                    f"{where}:{section.line}: a second [Peer] with the PublicKey of line {line}; WireGuard takes the"
                    " last: take the other one out"
                )
            peers.append(peer)
        elif interface is not None:
            raise SourceError(f"{where}:{section.line}: a second [Interface]; one file is one device")
        else:
            interface = section
    if interface is None:
        raise SourceError(f"{where} has no [Interface]: it is not a wg0.conf")
    if (private := interface.last("privatekey")) is None:
        raise SourceError(
            f"{where}:{interface.line}: [Interface] has no PrivateKey; where PostUp sets it, import the device that"
            " runs: wireguard-operator import live"
        )
    port, mtu = interface.last("listenport"), interface.last("mtu")
    if port is None:
        raise SourceError(
            f"{where}:{interface.line}: [Interface] has no ListenPort, so clients could not know its port"
        )
    return Device(
        _key(private, "PrivateKey", where),
        _number(port, "ListenPort", where, 1, 65535),
        tuple(_prefix(item, "Address", where) for item in interface.items("address")),
        tuple(peers),
        _number(mtu, "MTU", where, 576, 65535) if mtu is not None else None,
        tuple(ignored),
    )


def _sections(text: str, where: str) -> list[_Section]:
    sections: list[_Section] = []
    comment = ""
    for number, line in enumerate(text.splitlines(), 1):
        content, _, remark = (part.strip() for part in line.partition("#"))
        if not content:
            # A blank line parts a comment from what follows; a comment inside a section names it if it comes first.
            comment = _name_of(remark)
            if sections and not sections[-1].values and not sections[-1].name:
                sections[-1].name = comment
            continue
        if (header := _SECTION.fullmatch(content)) is not None:
            kind = header[1].lower()
            if kind not in ("interface", "peer"):
                raise SourceError(f"{where}:{number}: section [{header[1]}]; a wg0.conf has [Interface] and [Peer]")
            sections.append(_Section(kind, number, comment or _name_of(remark)))
        else:
            key, found, value = (part.strip() for part in content.partition("="))
            if not found or not sections:
                raise SourceError(f"{where}:{number}: neither a section nor a setting like `ListenPort = 51820`")
            sections[-1].values.setdefault(key.lower(), []).append((number, value))
        comment = ""
    return sections


def _name_of(remark: str) -> str:
    """The name in a comment. A setting that is commented out is none, nor is whatever may be a key."""
    text = remark.lstrip("# ")
    if _COMMENTED_OUT.match(text) or _KEY.search(text):
        return ""
    return _LABELS.sub("", text).strip()


def _peer(section: _Section, where: str) -> Peer:
    if (public := section.last("publickey")) is None:
        raise SourceError(f"{where}:{section.line}: [Peer] has no PublicKey")
    preshared, keepalive = section.last("presharedkey"), section.last("persistentkeepalive")
    seconds = 0
    if keepalive is not None and keepalive[1].lower() != "off":
        seconds = _number(keepalive, "PersistentKeepalive", where, 0, 65535)
    return Peer(
        _key(public, "PublicKey", where).reveal(),
        tuple(_prefix(item, "AllowedIPs", where) for item in section.items("allowedips")),
        _key(preshared, "PresharedKey", where) if preshared is not None else None,
        section.name,
        keepalive=seconds,
    )


def _key(value: tuple[int, str], name: str, where: str) -> Hidden:
    try:
        decode_key(value[1])
    except InvalidKeyError as error:
        raise SourceError(f"{where}:{value[0]}: {name} is {error}") from None
    return Hidden(value[1])


def _number(value: tuple[int, str], name: str, where: str, least: int, most: int) -> int:
    if not value[1].isascii() or not value[1].isdecimal() or not least <= int(value[1]) <= most:
        raise SourceError(f"{where}:{value[0]}: {name} = {value[1][:20]!r} must be a number from {least} to {most}")
    return int(value[1])


def _prefix(item: tuple[int, str], name: str, where: str) -> str:
    try:
        return str(ipaddress.ip_interface(item[1]))
    except ValueError:
        raise SourceError(
            f"{where}:{item[0]}: {name}: {item[1][:64]!r} is not an IP prefix such as 10.8.0.2/32"
        ) from None
