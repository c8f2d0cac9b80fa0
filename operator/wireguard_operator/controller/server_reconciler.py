"""The server's own things: key Secret, the agent's certificate, and the interface that the device should have."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ..agent.protocol import agent_name
from ..api.server import WireGuardServer
from ..domain import client_config, secrets
from ..domain.addresses import server_address
from ..domain.device import Interface
from ..domain.keys import KeyPair, generate_pair
from ..domain.peer_status import Problem
from .authority import Authority
from .records import ServerRecord
from .secret_store import ForeignSecret, SecretStore

KIND = "WireGuardServer"


@dataclass(frozen=True, slots=True)
class Ready:
    """A server whose own things are in place."""

    public_key: str
    interface: Interface


class ServerReconciler:
    """Brings one server's Secrets about."""

    def __init__(self, store: SecretStore, authority: Authority) -> None:
        self._store = store
        self._authority = authority
        self._known: dict[str, KeyPair] = {}

    async def reconcile(self, record: ServerRecord) -> Ready | None:
        """Make it so and say what the interface should be; None with ``key_problem`` set where it cannot be."""
        server, facts = record.server, record.facts
        facts.endpoint = client_config.endpoint(server.spec)
        facts.addresses = server_addresses(server)
        try:
            keys = await self._keys(server)
            facts.agent_secret = await self._certificate(server)
        except ForeignSecret as error:
            facts.key_problem = Problem("SecretConflict", str(error))
            return None
        facts.key_problem = None
        facts.public_key = keys.public
        mtu = server.spec.mtu or client_config.DEFAULT_MTU
        return Ready(keys.public, Interface(keys.private.reveal(), server.spec.listen_port, mtu, facts.addresses))

    async def _keys(self, server: WireGuardServer) -> KeyPair:
        name = secrets.server_secret_name(server.metadata.name)
        body = self._store.find(server, name)
        keys = secrets.read_pair(body) if body is not None else None
        # A Secret that was deleted or spoilt by mistake is restored as long as this process knows the key:
        # a new server key would cut every client off.
        keys = keys or self._known.get(server.metadata.uid) or generate_pair()
        await self._store.write(server, KIND, name, secrets.server_data(keys))
        self._known[server.metadata.uid] = keys
        return keys

    async def _certificate(self, server: WireGuardServer) -> str:
        chosen = server.spec.data_plane.host.tls_secret_ref
        name = chosen.name if chosen is not None else secrets.agent_secret_name(server.metadata.name)
        identity = agent_name(server.metadata.namespace, server.metadata.name)
        body = self._store.find(server, name)
        have = secrets.read_certificate(body) if body is not None else None
        if have is None or not self._authority.accepts(have.certificate, identity):
            have = self._authority.issue_agent(identity)
        data = {"tls.crt": have.certificate, "tls.key": have.private_key, "ca.crt": self._authority.ca.certificate}
        await self._store.write(server, KIND, name, data, "kubernetes.io/tls")
        return name


def server_addresses(server: WireGuardServer) -> tuple[str, ...]:
    """The server's own addresses with the prefix length of their networks."""
    networks = [ipaddress.ip_network(network) for network in server.spec.networks]
    return tuple(f"{server_address(network)}/{network.prefixlen}" for network in networks)
