"""Notices about one interface, from a real kernel."""

from __future__ import annotations

import asyncio
import socket

from agent_lab import Lab, unique

from tests.conformance.device_suite import inside
from wireguard_operator.agent.linkwatch import LinkWatch


def make(lab: Lab, name: str) -> int:
    lab.server.run("ip", "link", "add", name, "type", "veth", "peer", unique("wgx"))
    return socket.if_nametoindex(name)


async def test_the_end_of_the_interface_and_of_no_other_is_told_once(lab: Lab) -> None:
    name, other = unique("wgd"), unique("wgd")
    told = asyncio.Queue[str]()
    with inside(lab.server):
        make(lab, other)
        watch = LinkWatch(make(lab, name), lambda: told.put_nowait("gone"))
        lab.server.run("ip", "link", "delete", other)
        lab.server.run("ip", "link", "set", name, "up")
        assert watch.alive()
        lab.server.run("ip", "link", "delete", name)
        assert not watch.alive()
        assert await asyncio.wait_for(told.get(), 10) == "gone"
        assert told.empty()
        watch.close()


async def test_leaving_a_bridge_is_no_end(lab: Lab) -> None:
    name, bridge = unique("wgd"), unique("wgb")
    with inside(lab.server):
        watch = LinkWatch(make(lab, name), lambda: None)
        lab.server.run("ip", "link", "add", bridge, "type", "bridge")
        lab.server.run("ip", "link", "set", name, "master", bridge)
        lab.server.run("ip", "link", "set", name, "nomaster")
        assert watch.alive()
        watch.close()


async def test_an_end_among_notices_that_were_lost_is_found_by_looking(lab: Lab) -> None:
    name = unique("wgd")
    told = asyncio.Event()
    with inside(lab.server):
        watch = LinkWatch(make(lab, name), told.set)
        watch._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least there can be: one notice

        def overflow() -> None:
            for state in ("up", "down") * 4:
                lab.server.run("ip", "link", "set", name, state)

        overflow()
        assert watch.alive()
        overflow()
        lab.server.run("ip", "link", "delete", name)
        assert not watch.alive()
        assert told.is_set()
        watch.close()
