"""The nft table of one interface as it should be, and the transactions that lead there. Pure.

Each prefix of a peer is an element of a map from addresses to verdicts, one map for each prefix length, asked from the
longest to the shortest: the same choice that WireGuard makes. Maps of single addresses, unlike maps of intervals,
take a change without being read as a whole, and take prefixes that lie in one another.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...domain.device import Interface
from .chains import Chain, Way

_BATCH = 500
"""Elements in one line; nft reads shorter lines faster."""
_MAP = re.compile(r"(from|to)([46])_(\d+)")
_BITS = {4: 32, 6: 128}
_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
_FIELDS = {("from", 4): "ip saddr", ("to", 4): "ip daddr", ("from", 6): "ip6 saddr", ("to", 6): "ip6 daddr"}
_MASKS: dict[tuple[int, int], str] = {
    **{(4, length): str(ipaddress.IPv4Network((0, length)).netmask) for length in range(33)},
    **{(6, length): str(ipaddress.IPv6Network((0, length)).netmask) for length in range(129)},
}


def table_name(interface: str) -> str:
    """The table of an interface; nft takes fewer characters in names than the kernel does in those of interfaces."""
    return f"wireguard_{re.sub(r'[^A-Za-z0-9_]', '_', interface)}"


@dataclass(frozen=True, slots=True)
class Entry:
    """Whose a prefix is, and what becomes of its packets."""

    public_key: str
    way: Way


class Table:
    """The content of the table. Methods that change it return the transaction that does the same in the kernel."""

    def __init__(self, name: str, interface: Interface, entries: Mapping[str, Entry]) -> None:
        """``name``: the interface's. ``entries``: by (normalised) prefix."""
        self._name = name
        self._family = f"inet {table_name(name)}"
        self._interface = interface
        self.entries: dict[str, Entry] = {}
        self.chains: dict[str, Chain] = {}
        self.maps: dict[str, dict[str, str]] = {}
        """Name → address → verdict."""
        self._users: Counter[str] = Counter()
        for prefix, entry in entries.items():
            self._put(prefix, entry)

    def load(self) -> str:
        """Whatever there is goes, and this comes, or nothing of it happens."""
        lines = [f"table {self._family} {{}}", f"delete table {self._family}", f"table {self._family} {{"]
        for name in self.maps:
            lines += [f"  map {name} {{", f"    type {_TYPES[int(_parts(name)[1])]} : verdict;", "  }"]
        for chain in self.chains.values():
            lines += _block(chain.name, chain.rules)
        for direction in ("from", "to"):
            lines += _block(f"{direction}_peers", self._dispatch(direction))
        for name, rules in self._base().items():
            lines += _block(name, rules)
        lines.append("}")
        for name, elements in self.maps.items():
            lines += self._elements("add", name, (f"{address} : {verdict}" for address, verdict in elements.items()))
        return "\n".join(lines) + "\n"

    def change(self, changes: Mapping[str, Entry | None]) -> str:
        """Give prefixes other entries, or none; an empty text when nothing differs."""
        old_maps, old_chains = set(self.maps), dict(self.chains)
        gone: dict[str, list[str]] = {}
        new: dict[str, list[str]] = {}
        for prefix, entry in changes.items():
            before = _places(prefix, self.entries.get(prefix))
            self._drop(prefix)
            if entry is not None:
                self._put(prefix, entry)
            after = _places(prefix, entry)
            for (name, address), verdict in before.items():
                if after.get((name, address)) != verdict:
                    gone.setdefault(name, []).append(address)
            for (name, address), verdict in after.items():
                if before.get((name, address)) != verdict:
                    new.setdefault(name, []).append(f"{address} : {verdict}")
        self._forget_unused()
        made = [chain for name, chain in self.chains.items() if name not in old_chains]
        lines: list[str] = []
        for name in self.maps:
            if name not in old_maps:
                lines.append(f"add map {self._family} {name} {{ type {_TYPES[int(_parts(name)[1])]} : verdict; }}")
        for chain in made:
            lines.append(f"add chain {self._family} {chain.name}")
            lines += [f"add rule {self._family} {chain.name} {rule}" for rule in chain.rules]
        for name, addresses in gone.items():
            lines += self._elements("delete", name, addresses)
        for name, elements in new.items():
            lines += self._elements("add", name, elements)
        if self.maps.keys() != old_maps:
            for direction in ("from", "to"):
                lines.append(f"flush chain {self._family} {direction}_peers")
                rules = self._dispatch(direction)
                lines += [f"add rule {self._family} {direction}_peers {rule}" for rule in rules]
        # A chain goes before those that it calls.
        for name in reversed(old_chains):
            if name not in self.chains:
                lines += [f"flush chain {self._family} {name}", f"delete chain {self._family} {name}"]
        return "\n".join(lines) + "\n" if lines else ""

    def rules(self) -> dict[str, int]:
        """How many rules each chain has; the line that hooks a chain into the packet's way counts as one."""
        counts = {chain.name: len(chain.rules) for chain in self.chains.values()}
        for direction in ("from", "to"):
            counts[f"{direction}_peers"] = len(self._dispatch(direction))
        return counts | {name: len(rules) for name, rules in self._base().items()}

    def _put(self, prefix: str, entry: Entry) -> None:
        self.entries[prefix] = entry
        for chain in entry.way.chains:
            self.chains.setdefault(chain.name, chain)
            self._users[chain.name] += 1
        for (name, address), verdict in _places(prefix, entry).items():
            self.maps.setdefault(name, {})[address] = verdict

    def _drop(self, prefix: str) -> None:
        entry = self.entries.pop(prefix, None)
        if entry is None:
            return
        for chain in entry.way.chains:
            self._users[chain.name] -= 1
        for name, address in _places(prefix, entry):
            del self.maps[name][address]

    def _forget_unused(self) -> None:
        for name in [name for name, users in self._users.items() if not users]:
            del self._users[name], self.chains[name]

    def _dispatch(self, direction: str) -> list[str]:
        found = [parts for parts in map(_parts, self.maps) if parts[0] == direction]
        rules = []
        for _, family, length in sorted(found, key=lambda parts: (parts[1], -parts[2])):
            field = _FIELDS[direction, family]
            mask = "" if length == _BITS[family] else f" & {_MASKS[family, length]}"
            rules.append(f"{field}{mask} vmap @{direction}{family}_{length}")
        return [*rules, "counter drop"] if direction == "from" else rules

    def _base(self) -> dict[str, tuple[str, ...]]:
        name = self._name
        chains: dict[str, tuple[str, ...]] = {
            "from_tunnel": (
                "type filter hook prerouting priority raw; policy accept;",
                f'iifname "{name}" jump from_peers',
            ),
            "to_tunnel": (
                "type filter hook postrouting priority mangle; policy accept;",
                f'oifname "{name}" jump to_peers',
            ),
        }
        if self._interface.isolation:
            chains["between_peers"] = (
                "type filter hook forward priority filter; policy accept;",
                f'iifname "{name}" oifname "{name}" counter drop',
            )
        if self._interface.masquerade:
            chains["to_world"] = (
                "type nat hook postrouting priority srcnat; policy accept;",
                f'iifname "{name}" oifname != "{name}" masquerade',
            )
        return chains

    def _elements(self, verb: str, name: str, elements: Iterable[str]) -> Iterator[str]:
        listed = list(elements)
        for start in range(0, len(listed), _BATCH):
            yield f"{verb} element {self._family} {name} {{ {', '.join(listed[start : start + _BATCH])} }}"


def removal(name: str) -> str:
    """The end of an interface's table; no error when there is none."""
    return f"table inet {table_name(name)} {{}}\ndelete table inet {table_name(name)}\n"


def _places(prefix: str, entry: Entry | None) -> dict[tuple[str, str], str]:
    """Map and address → verdict: what one prefix puts into the maps."""
    if entry is None:
        return {}
    address, _, length = prefix.partition("/")
    version = 6 if ":" in address else 4
    places = {(f"from{version}_{length}", address): entry.way.sent}
    if entry.way.received is not None:
        places[f"to{version}_{length}", address] = entry.way.received
    return places


def _parts(name: str) -> tuple[str, int, int]:
    found = _MAP.fullmatch(name)
    assert found is not None  # noqa: S101 - all maps are named here
    return found[1], int(found[2]), int(found[3])


def _block(name: str, rules: Iterable[str]) -> list[str]:
    return [f"  chain {name} {{", *(f"    {rule}" for rule in rules), "  }"]
