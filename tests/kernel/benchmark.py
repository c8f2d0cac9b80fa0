"""The kernel's driver against wireguard-tools, which are C and do the same work: seconds for each, side by side.

Absolute figures say little, above all on an emulated processor; the ratios are what to look at.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.agent.agent_lab import make_peers, unique
from wireguard_operator.agent.device import Device
from wireguard_operator.domain.device import DevicePeer, Interface
from wireguard_operator.domain.keys import generate_pair

REPEATS = 5
"""Of what is quick; the best counts."""
FEW = 100
"""Peers that are deleted with their interface, from which the time for all is reckoned."""


async def measure(make: Callable[[str], Device], directory: Path, count: int = 10_000) -> dict[str, float]:
    """Seconds by name, those of the driver beside those of ``wg``; interfaces come and go in this network namespace.

    ``directory`` takes files with keys that nobody uses.
    """
    peers = make_peers(count + REPEATS)
    found: dict[str, float] = {}

    private_key = generate_pair().private.reveal()  # with it the kernel does more for each peer
    name = unique("wgb")
    _timed("ip", "link", "add", name, "type", "wireguard")
    _timed("ip", "link", "set", name, "up")
    file = directory / "wg.conf"
    file.write_text(_configuration(private_key, peers[:count]))
    found["wg setconf"] = _timed("wg", "setconf", name, str(file))
    keys = directory / "preshared"
    found["wg set"] = min(_set(name, peer, keys) for peer in peers[count:])
    found["wg show dump"] = min(_timed("wg", "show", name, "dump") for _ in range(REPEATS))
    # An interface that is deleted with all its peers waits for each of them: two minutes here.
    file.write_text(_configuration(private_key, peers[:FEW]))
    _timed("wg", "setconf", name, str(file))
    found["ip link delete"] = _timed("ip", "link", "delete", name) / FEW * count

    name = unique("wgb")
    device = make(name)
    await device.ensure(Interface(private_key, 51821, 1420, ("10.8.0.1/24",)))
    began = time.perf_counter()
    assert await device.apply(peers[:count], ()) == {}
    found["apply all"] = time.perf_counter() - began
    ones, dumps = [], []
    for peer in peers[count:]:
        began = time.perf_counter()
        assert await device.apply((peer,), ()) == {}
        ones.append(time.perf_counter() - began)
        began = time.perf_counter()
        assert peer.public_key in (await device.dump()).peers
        dumps.append(time.perf_counter() - began)
    found["apply one"], found["dump"] = min(ones), min(dumps)
    found["first dump"] = min([await _first_dump(make(name)) for _ in range(REPEATS)])
    tenth = [peer.public_key for peer in peers[: count // 10]]
    began = time.perf_counter()
    assert await device.apply((), tenth) == {}
    found["remove a tenth"] = time.perf_counter() - began
    began = time.perf_counter()
    await device.close(remove=True)
    found["close"] = time.perf_counter() - began
    return found


async def _first_dump(heir: Device) -> float:
    """Of a driver that has seen none of the peers before."""
    began = time.perf_counter()
    assert (await heir.dump()).peers
    return time.perf_counter() - began


def report(found: dict[str, float]) -> str:
    """The figures and their ratios, a line each."""
    pairs = {
        "apply all": "wg setconf",
        "apply one": "wg set",
        "first dump": "wg show dump",
        "dump": "wg show dump",
        "close": "ip link delete",
    }
    lines = []
    for ours, seconds in found.items():
        ratio = f", {seconds / found[pairs[ours]]:.2f} of {pairs[ours]}" if ours in pairs else ""
        lines.append(f"{ours:15} {seconds * 1000:9.1f} ms{ratio}")
    return "\n".join(lines)


def _configuration(private_key: str, peers: tuple[DevicePeer, ...]) -> str:
    return f"[Interface]\nPrivateKey = {private_key}\n" + "".join(
        f"[Peer]\nPublicKey = {peer.public_key}\nPresharedKey = {peer.preshared_key}\n"
        f"AllowedIPs = {', '.join(peer.allowed_ips)}\n"
        for peer in peers
    )


def _set(name: str, peer: DevicePeer, keys: Path) -> float:
    keys.write_text(peer.preshared_key or "")
    networks = ",".join(peer.allowed_ips)
    return _timed("wg", "set", name, "peer", peer.public_key, "preshared-key", str(keys), "allowed-ips", networks)


def _timed(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
