"""The network side of a WireGuard interface: addresses, MTU, up, and the routes to what lies behind peers.

pyroute2 speaks rtnetlink here (WireGuard's own netlink family it does not: see docs). Routes carry an own protocol
number, so after a restart the agent knows its own from those of the administrator or of a routing daemon.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from ..domain.device import Interface
from .device import DeviceError, DeviceGoneError

logger = logging.getLogger(__name__)

ROUTE_PROTOCOL = 87
"""Not in iproute2's rt_protos; `ip route show proto 87` lists the agent's routes."""

NO_RIGHT = "the agent makes network interfaces: run it as root, or with the capability NET_ADMIN"

_MAIN_TABLE = 254
_SCOPE_LINK = 253
_IFF_UP = 1

Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class NoKindError(DeviceError):
    """The kernel has no module for such interfaces."""


@dataclass(frozen=True, slots=True)
class Found:
    """An interface that there is, whoever made it."""

    index: int
    kind: str
    """As in `ip link add type KIND`; empty for hardware."""
    names: frozenset[str]
    """Its alternative names (`ip link property add`)."""


class Link:
    """One interface, by name, in this process's network namespace. Calls are never concurrent."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._routes: frozenset[str] | None = None
        """What ``route`` has made so, or None when that is to be looked up."""

    async def exists(self) -> bool:
        """Whether there is an interface of this name, whoever made it. Raises DeviceError."""
        async with self._netlink() as netlink:
            return await self._find(netlink) is not None

    async def find(self) -> Found | None:
        """The interface of this name. Raises DeviceError."""
        async with self._netlink() as netlink:
            link = await self._find(netlink)
        if link is None:
            return None
        info, names = link.get_attr("IFLA_LINKINFO"), link.get_attr("IFLA_PROP_LIST")
        kind = info.get_attr("IFLA_INFO_KIND") if info else None
        return Found(link["index"], kind or "", frozenset(names.altnames() if names else ()))

    async def create(self, kind: str) -> None:
        """Make the interface, down. Raises NoKindError when the kernel has none of this kind, and DeviceError."""
        async with self._netlink(kind) as netlink:
            await netlink.link("add", ifname=self._name, kind=kind)

    async def add_name(self, index: int, name: str) -> None:
        """Give the interface one more name, which it keeps as long as it lives. Raises DeviceError."""
        async with self._netlink() as netlink:
            await netlink.link("property_add", index=index, altname=name)

    async def delete(self, index: int) -> None:
        """End the interface with this index; no error when it is not there. Raises DeviceError."""
        self._routes = None
        async with self._netlink() as netlink:
            try:
                await netlink.link("del", index=index)
            except NetlinkError as error:
                if error.code != errno.ENODEV:
                    raise

    async def configure(self, interface: Interface) -> None:
        """Addresses, MTU and up; what is right already is not touched. Raises DeviceError."""
        self._routes = None  # setting an interface down or taking an address away by hand also took routes
        async with self._netlink() as netlink:
            link = await self._get(netlink)
            await self._set_addresses(netlink, link["index"], interface.addresses)
            if link.get_attr("IFLA_MTU") != interface.mtu or not link["flags"] & _IFF_UP:
                await netlink.link("set", index=link["index"], mtu=interface.mtu, state="up")

    async def route(self, prefixes: frozenset[str]) -> dict[str, str]:
        """Route exactly ``prefixes`` to the interface. Returns prefix → reason for those that cannot be.

        A route that the host already has by another way is left alone, and is such a reason.
        """
        if prefixes == self._routes:
            return {}
        errors: dict[str, str] = {}
        async with self._netlink() as netlink:
            index = (await self._get(netlink))["index"]
            have = await self._own_routes(netlink, index) if self._routes is None else self._routes
            for prefix in have - prefixes:
                await self._change_route(netlink, "del", prefix, index, ignore=errno.ESRCH)
                logger.info("route %s removed from %s", prefix, self._name)
            for prefix in prefixes - have:
                reason = await self._change_route(netlink, "add", prefix, index)
                if reason is None:
                    logger.info("route %s added to %s", prefix, self._name)
                else:
                    errors[prefix] = reason
        self._routes = prefixes - errors.keys()
        return errors

    @asynccontextmanager
    async def _netlink(self, kind: str = "") -> AsyncIterator[Any]:
        try:
            async with AsyncIPRoute() as netlink:
                yield netlink
        except NetlinkError as error:
            if kind and error.code == errno.EOPNOTSUPP:
                raise NoKindError(f"this kernel cannot make interfaces of the kind {kind}") from None
            if error.code == errno.EPERM:
                raise DeviceError(NO_RIGHT) from None
            if error.code == errno.EADDRINUSE:
                raise DeviceError(f"the UDP port of {self._name} is in use on this host") from None
            raise DeviceError(f"the interface {self._name} cannot be configured: {_text(error)}") from None

    async def _find(self, netlink: Any) -> Any:
        try:
            return next(iter(await netlink.link("get", ifname=self._name)))
        except NetlinkError as error:
            if error.code == errno.ENODEV:
                return None
            raise

    async def _get(self, netlink: Any) -> Any:
        link = await self._find(netlink)
        if link is None:
            raise DeviceGoneError(f"there is no interface {self._name}")
        return link

    async def _set_addresses(self, netlink: Any, index: int, wanted_texts: Iterable[str]) -> None:
        wanted = {ipaddress.ip_interface(text) for text in wanted_texts}
        # First away, then new: an address that is secondary to one that goes would go with it.
        for address in await self._addresses(netlink, index) - wanted:
            await netlink.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        for address in wanted - await self._addresses(netlink, index):
            await netlink.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
            logger.info("address %s added to %s", address, self._name)

    async def _addresses(self, netlink: Any, index: int) -> set[Address]:
        found = set()
        async for message in await netlink.get_addr(index=index):
            if message["index"] != index:
                continue
            # IFA_ADDRESS is the far end on a point-to-point interface with a peer address.
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            address = ipaddress.ip_interface(f"{text}/{message['prefixlen']}")
            # The kernel gives every interface a link-local IPv6 address of its own.
            if not (address.version == 6 and address.is_link_local):
                found.add(address)
        return found

    async def _own_routes(self, netlink: Any, index: int) -> frozenset[str]:
        found = set()
        for version, family in ((4, 2), (6, 10)):
            async for message in await netlink.get_routes(family=family, oif=index, proto=ROUTE_PROTOCOL):
                if message["proto"] == ROUTE_PROTOCOL and message.get_attr("RTA_OIF") == index:
                    destination = message.get_attr("RTA_DST") or ("0.0.0.0" if version == 4 else "::")  # noqa: S104
                    found.add(str(ipaddress.ip_network(f"{destination}/{message['dst_len']}")))
        return frozenset(found)

    async def _change_route(self, netlink: Any, verb: str, prefix: str, index: int, ignore: int = 0) -> str | None:
        scope = {} if ":" in prefix else {"scope": _SCOPE_LINK}
        try:
            await netlink.route(verb, dst=prefix, oif=index, proto=ROUTE_PROTOCOL, table=_MAIN_TABLE, **scope)
        except NetlinkError as error:
            if error.code == errno.EEXIST:
                return await self._take_over(netlink, prefix, index, scope)
            return None if error.code == ignore else _text(error)
        return None

    async def _take_over(self, netlink: Any, prefix: str, index: int, scope: dict[str, int]) -> str | None:
        """Make ours a route to this very interface, which wg-quick made for it; it is there all the time."""
        network = ipaddress.ip_network(prefix)
        family = 2 if network.version == 4 else 10
        async for message in await netlink.get_routes(family=family, oif=index, table=_MAIN_TABLE):
            same = message.get_attr("RTA_DST") == str(network.network_address)
            if same and message["dst_len"] == network.prefixlen and message.get_attr("RTA_OIF") == index:
                break
        else:
            return "this host has another route to it"
        try:
            await netlink.route("replace", dst=prefix, oif=index, proto=ROUTE_PROTOCOL, table=_MAIN_TABLE, **scope)
        except NetlinkError as error:
            return _text(error)
        logger.info("route %s of %s taken over", prefix, self._name)
        return None


def _text(error: NetlinkError) -> str:
    return os.strerror(error.code) if error.code else "netlink error"
