"""The table as nft lists it, compared with what it should be. Pure.

Elements of maps are compared one by one. Of a chain the first listing is taken for right if it has as many rules as
it should, and from then on each later listing must be the same: a chain of a name never changes, and how nft words a
rule differs from one release to the next.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .table import Table


@dataclass(slots=True)
class Memory:
    """How nft lists the chains that are known, by name."""

    chains: dict[str, list[str]] = field(default_factory=dict)


def is_right(text: str, table: Table, memory: Memory) -> bool:
    """Whether a listing shows the table; ``memory`` takes in the chains that are listed for the first time."""
    try:
        maps, chains = _read(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return False
    if maps != table.maps or {name: len(rules) for name, rules in chains.items()} != table.rules():
        return False
    if any(memory.chains.get(name, rules) != rules for name, rules in chains.items()):
        return False
    memory.chains = chains
    return True


def _read(document: dict[str, Any]) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """Maps (address → verdict) and chains (rules as texts)."""
    maps: dict[str, dict[str, str]] = {}
    chains: dict[str, list[str]] = {}
    for entry in document["nftables"]:
        if (found := entry.get("map")) is not None:
            maps[found["name"]] = {_address(key): _verdict(value) for key, value in found.get("elem", ())}
        elif (found := entry.get("chain")) is not None:
            hook = [f"{found['hook']} {found['prio']} {found['policy']}"] if "hook" in found else []
            chains.setdefault(found["name"], hook)
        elif (found := entry.get("rule")) is not None:
            chains.setdefault(found["chain"], []).append(json.dumps(found["expr"]))
        elif entry.keys() & {"set", "limit", "flowtable"}:
            chains["?"] = []  # nothing of ours
    return maps, chains


def _address(key: Any) -> str:
    """An address stands as a text, or where a mask says less as a prefix."""
    return str(key["prefix"]["addr"]) if isinstance(key, dict) else str(key)


def _verdict(value: dict[str, Any]) -> str:
    ((word, target),) = value.items()
    return f"{word} {target['target']}" if target else str(word)
