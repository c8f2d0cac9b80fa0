"""A foreign system as an agent: the controller says what should be there and hears what is, as with any server.

So statuses, statistics, expiry, suspensions and repair are the same whatever carries a peer. It differs in one thing:
a system may take seconds for one peer, so an acknowledgement comes at once and names those of whom the last word is
still to be said (``Ack.pending``).
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping, Set

from ..agent import parts, protocol
from ..agent.counters import ChangeLog, counters_of
from ..agent.device import DumpedPeer
from ..agent.protocol import (
    PAGE_PEERS,
    Ack,
    AgentStatus,
    Applied,
    CountersPage,
    DeltaRequest,
    PartReply,
    PeerCounters,
    Snapshot,
)
from ..domain.capabilities import Capability
from ..domain.device import Delta, DesiredState, DevicePeer, Interface
from ..domain.networks import is_inside
from .contract import Account, Wanted
from .errors import SystemError, Unreachable
from .steward import Steward


class BaseMismatch(SystemError):
    """A delta starts from another state than the one that is held."""


class SystemAgent:
    """The four things that a controller asks of an agent, answered from memory. Every method raises SystemError."""

    def __init__(self, steward: Steward, owner: Callable[[str], str]) -> None:
        """``owner``: UID of the peer that has a key."""
        self._steward = steward
        self._owner = owner
        self._assembly = parts.Assembly()
        self._state: DesiredState | None = None
        self._revision = 0
        self._changes = ChangeLog()

    async def status(self) -> AgentStatus:
        """See ``agent.protocol``."""
        self._require()
        site = self._steward.site
        plan = self._steward.plan()
        pending = plan.pending - plan.errors.keys()
        return AgentStatus(
            version=site.version if site is not None else "",
            implementation=site.system.value if site is not None else "",
            device=self._life(),
            applied=self._applied(),
            errors=dict(plan.errors),
            warnings=self._steward.warnings(),
            partial=self._assembly.partial(),
            pending=tuple(pending),
            final=self._take_final(pending),
        )

    async def put_part(self, part: bytes) -> PartReply:
        """See ``agent.protocol``."""
        self._require()
        self._assembly.add(parts.read_part(part))
        if missing := self._assembly.missing():
            return PartReply(missing)
        snapshot = protocol.decode(Snapshot, self._assembly.content())
        self._assembly.clear()
        self._revision, self._state = snapshot.revision, DesiredState(snapshot.interface, snapshot.peers)
        return PartReply((), self._ack())

    async def post_delta(self, delta: DeltaRequest) -> Ack:
        """See ``agent.protocol``."""
        self._require()
        if self._state is None or self._applied() != delta.base:
            raise BaseMismatch("another state is held")
        self._state.apply(Delta(delta.interface, delta.upsert, delta.remove))
        self._revision = delta.revision
        return self._ack()

    async def counters(self, cursor: str, *, more: bool = False) -> CountersPage:
        """See ``agent.protocol``: what the last look has found. A client without counters has lost them: they are 0."""
        self._require()
        if not more:
            wanted = self._state.peers if self._state is not None else {}
            accounts = (self._steward.accounts or {}).items()
            final = self._steward.final
            # Of one that was cut the last counters are told once, by an acknowledgement.
            there = {key: a for key, a in accounts if key in wanted and a.enabled and key not in final}
            self._changes.observe({key: _dumped(account) for key, account in there.items()})
            self._steward.touch()
        following, peers, is_more = self._changes.since(cursor, PAGE_PEERS)
        return CountersPage(self._life(), following, peers, time.time(), is_more)

    def _ack(self) -> Ack:
        state = self._state
        assert state is not None  # noqa: S101 - the callers have just set it
        peers = wanted(state.interface, state.peers, self._owner)
        site = self._steward.site
        if site is not None and Capability.ADDRESSES not in site.system.capabilities:
            peers = {key: Wanted(key, one.uid) for key, one in peers.items()}  # its clients have other addresses
        self._steward.want(peers)
        plan = self._steward.plan()
        applied = Applied(self._revision, state.digest)
        pending = plan.pending - plan.errors.keys()
        return Ack(applied, self._life(), dict(plan.errors), self._take_final(pending), tuple(pending))

    def _take_final(self, pending: Set[str]) -> tuple[PeerCounters, ...]:
        """Last counters, each together with the word that the client is off the device."""
        told = {key: account for key, account in self._steward.final.items() if key not in pending}
        for key in told:
            del self._steward.final[key]
        self._changes.forget(told)
        return tuple(counters_of(_dumped(account)) for account in told.values())

    def _applied(self) -> Applied | None:
        return Applied(self._revision, self._state.digest) if self._state is not None else None

    def _life(self) -> str:
        """Always the same: a system's counters say themselves that they began anew, by being smaller than before."""
        site = self._steward.site
        return f"{site.system.name.lower()}.{site.public_key or ''}" if site is not None else ""

    def _require(self) -> None:
        if self._steward.trouble is not None:
            raise self._steward.trouble
        if self._steward.accounts is None:
            raise Unreachable("the system has not answered yet")


def wanted(interface: Interface, peers: Mapping[str, DevicePeer], owner: Callable[[str], str]) -> dict[str, Wanted]:
    """What a system should have: of a peer's allowed IPs those in the server's networks are its addresses."""
    networks = [ipaddress.ip_interface(address).network for address in interface.addresses]

    def is_address(text: str) -> bool:
        prefix = ipaddress.ip_network(text)
        return any(is_inside(prefix, network) for network in networks)

    return {
        key: Wanted(
            key,
            owner(key),
            tuple(ip for ip in peer.allowed_ips if is_address(ip)),
            tuple(ip for ip in peer.allowed_ips if not is_address(ip)),
            peer.preshared_key,
        )
        for key, peer in peers.items()
    }


def _dumped(account: Account) -> DumpedPeer:
    return DumpedPeer(
        account.key,
        endpoint=account.endpoint,
        last_handshake=account.last_handshake,
        rx_bytes=account.rx_bytes,
        tx_bytes=account.tx_bytes,
    )
