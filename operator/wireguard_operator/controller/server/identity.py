"""The server's own things: key Secret, the agent's certificate, and the interface that the device should have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...agent.protocol import agent_name
from ...api.data_plane import DataPlaneType
from ...api.reasons import Reason
from ...api.server import WireGuardServer
from ...domain import client_config, secrets
from ...domain.certificates import Usage
from ...domain.conditions import Problem
from ...domain.device import Interface
from ...domain.keys import KeyPair, generate_pair
from ...domain.networks import Network, server_address
from ...kube.errors import Forbidden, Invalid, KubeError
from ..agents.authority import Authority
from ..watch.records import ServerRecord
from ..writes.secret_store import ForeignSecret, SecretStore

KIND = "WireGuardServer"


@dataclass(frozen=True, slots=True)
class Ready:
    """A server whose own things are in place."""

    public_key: str
    endpoint: str
    interface: Interface


class Identity:
    """Brings one server's Secrets about."""

    def __init__(self, store: SecretStore, authority: Authority) -> None:
        self._store = store
        self._authority = authority
        self._known: dict[str, tuple[KeyPair, int]] = {}

    async def reconcile(self, record: ServerRecord, networks: Sequence[Network]) -> Ready | None:
        """Make it so and say what the interface should be; None with a problem in the facts where it cannot be.

        Raises KubeError.
        """
        server, facts = record.server, record.facts
        facts.networks = tuple(map(str, networks))
        facts.addresses = tuple(f"{server_address(network)}/{network.prefixlen}" for network in networks)
        try:
            keys = await self._keys(server)
            if isinstance(keys, Problem):
                facts.key_problem = keys
                return None
            facts.agent_secret = await self._certificate(server)
        except ForeignSecret as error:
            facts.key_problem = Problem(Reason.SECRET_CONFLICT, str(error))
            return None
        except (Forbidden, Invalid) as error:
            facts.key_problem = Problem(
                Reason.SECRET_REFUSED, f"the API server refuses a Secret of the server: {error}"
            )
            return None
        facts.key_problem = None
        facts.public_key = keys.public
        facts.key_generation = server.spec.key_generation
        if facts.endpoint is None:
            return None  # nothing that subscribers could be told
        return Ready(keys.public, facts.endpoint, _interface(server, keys, facts.addresses))

    async def _keys(self, server: WireGuardServer) -> KeyPair | Problem:
        uid, generation = server.metadata.uid, server.spec.key_generation
        name = secrets.server_secret_name(server.metadata.name)
        body = self._store.find(server, name)
        saved = secrets.read_pair(body) if body is not None else None
        # A Secret that was deleted or spoilt by mistake is restored as long as this process knows the key:
        # a new server key would cut every client off.
        have = (saved, secrets.read_generation(body)) if body is not None and saved is not None else None
        pair = await self._pair(server, have or self._known.get(uid))
        if isinstance(pair, KeyPair):
            await self._store.write(server, KIND, name, secrets.server_data(pair, generation))
            self._known[uid] = pair, generation
        return pair

    async def _pair(self, server: WireGuardServer, have: tuple[KeyPair, int] | None) -> KeyPair | Problem:
        status, generation = server.status, server.spec.key_generation
        if (ref := server.spec.private_key_secret_ref) is not None:
            try:
                imported = await self._store.import_pair(server.metadata.namespace, ref)
            except KubeError:
                if have is None:
                    raise
                return have[0]
            # What was imported once goes on working without its source.
            return have[0] if have is not None and isinstance(imported, Problem) else imported
        if have is not None and generation <= have[1]:
            return have[0]
        if have is None and status.public_key is not None and generation <= (status.key_generation or 0):
            name = secrets.server_secret_name(server.metadata.name)
            return Problem(
                Reason.KEY_LOST,
                f"Secret {name} is gone, and nobody knows the server's private key any more; restore it from a backup,"
                " or raise spec.keyGeneration for a new key, after which every client must import its configuration",
            )
        return generate_pair()

    async def _certificate(self, server: WireGuardServer) -> str:
        name = secrets.agent_secret_of(server)
        identity = agent_name(server.metadata.namespace, server.metadata.name)
        body = self._store.find(server, name)
        have = secrets.read_certificate(body) if body is not None else None
        if have is None or not self._authority.accepts(have.certificate, identity):
            usage = Usage.AGENT if server.spec.data_plane.host is None else Usage.HOST
            have = self._authority.issue_agent(identity, usage)
        data = {"tls.crt": have.certificate, "tls.key": have.private_key, "ca.crt": self._authority.ca.certificate}
        await self._store.write(server, KIND, name, data, "kubernetes.io/tls")
        return name


def _interface(server: WireGuardServer, keys: KeyPair, addresses: tuple[str, ...]) -> Interface:
    spec = server.spec
    masquerade = spec.egress.masquerade
    if masquerade is None:
        masquerade = spec.data_plane.type is DataPlaneType.POD
    mtu = spec.mtu or client_config.DEFAULT_MTU
    return Interface(
        keys.private.reveal(), spec.listen_port, mtu, addresses, masquerade=masquerade, isolation=spec.egress.isolation
    )
