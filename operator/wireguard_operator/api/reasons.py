"""Every reason that a condition or an event of ours can carry, what it means and what to do about it.

The table is the source of the reference in docs/; code names reasons only by this enumeration, so none can be
missing there. A lasting reason makes the object ``Stalled`` (kstatus: Failed), since somebody has to act; with any
other one the operator is still working, or waits for what usually comes by itself (kstatus: InProgress).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Reasons of conditions and events."""

    ACCEPTED = "Accepted"
    ALLOCATED = "Allocated"
    KEYS_READY = "KeysReady"
    KEYS_ROTATING = "KeysRotating"
    PROGRAMMED = "Programmed"
    READY = "Ready"
    WAITING = "Waiting"
    ROOM = "RoomForPeers"
    MAINTENANCE = "Maintenance"
    DISABLED = "Disabled"
    EXPIRED = "Expired"
    SUSPENDED = "Suspended"
    WALLED_GARDEN = "WalledGarden"
    THROTTLED = "Throttled"
    REMOVING = "Removing"
    SERVER_NOT_FOUND = "ServerNotFound"
    SERVER_NOT_ALLOWED = "ServerNotAllowed"
    SERVER_DISABLED = "ServerDisabled"
    SERVER_DELETING = "ServerDeleting"
    SERVER_NOT_READY = "ServerNotReady"
    NO_SERVER_AVAILABLE = "NoServerAvailable"
    SERVER_FULL = "ServerFull"
    POOL_EXHAUSTED = "PoolExhausted"
    ADDRESS_TAKEN = "AddressTaken"
    ADDRESS_UNUSABLE = "AddressUnusable"
    ROUTE_CONFLICT = "RouteConflict"
    NETWORK_IN_USE = "NetworkInUse"
    DUPLICATE_PUBLIC_KEY = "DuplicatePublicKey"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    SECRET_CONFLICT = "SecretConflict"  # noqa: S105 - a reason
    SECRET_REFUSED = "SecretRefused"  # noqa: S105 - a reason
    KEY_INVALID = "KeyInvalid"
    KEY_LOST = "KeyLost"
    DEVICE_REFUSED = "DeviceRefused"
    AGENT_UNREACHABLE = "AgentUnreachable"
    AGENT_NOT_TRUSTED = "AgentNotTrusted"
    AGENT_FAILED = "AgentFailed"
    ENDPOINT_PENDING = "EndpointPending"
    POD_NOT_READY = "PodNotReady"
    PODS_REFUSED = "PodsRefused"
    FORWARDING_OFF = "ForwardingOff"
    NO_STANDBY = "NoStandby"
    NOT_SUPPORTED = "NotSupported"
    DEGRADED = "Degraded"
    SYSTEM_UNREACHABLE = "SystemUnreachable"
    SYSTEM_REFUSED = "SystemRefused"
    SYSTEM_FAILED = "SystemFailed"
    SYSTEM_UNSUITABLE = "SystemUnsuitable"
    SYSTEM_IN_USE = "SystemInUse"
    SYSTEM_DRIFTED = "SystemDrifted"
    WAITING_FOR_PEERS = "WaitingForPeers"
    ADMITTED = "Admitted"
    MOVED = "Moved"
    KEYS_ROTATED = "KeysRotated"
    FINAL_USAGE = "FinalUsage"
    AGENT_CONNECTED = "AgentConnected"
    TAKEN_OVER = "TakenOver"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reason in words."""

    meaning: str
    remedy: str = "—"
    lasting: bool = False
    """Somebody has to act."""


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.ACCEPTED: Explanation("the specification is in order and the server carries the peer"),
    Reason.ALLOCATED: Explanation("the peer holds the addresses that the message names"),
    Reason.KEYS_READY: Explanation("keys and wg0.conf are in the Secret that the message names"),
    Reason.KEYS_ROTATING: Explanation(
        "new keys are in the Secret; the former ones work until the device uses the new ones, or until the time given",
        "import the new wg0.conf on the device",
    ),
    Reason.PROGRAMMED: Explanation("the device is as it should be"),
    Reason.READY: Explanation("all is as the specification says"),
    Reason.WAITING: Explanation("this step has not been reached yet"),
    Reason.ROOM: Explanation("the server takes more peers"),
    Reason.MAINTENANCE: Explanation(
        "`spec.maintenance` is on: no selector chooses the server; the peers that are there are served",
        "switch it off when done",
    ),
    Reason.DISABLED: Explanation("`spec.enabled` is false, and Ready is True since that is what was asked for"),
    Reason.EXPIRED: Explanation("`spec.expiresAt` has passed", "a later time, or none, brings the peer back"),
    Reason.SUSPENDED: Explanation(
        "at least one entry of `spec.suspensions` is in force; the message names them, and why the peer is cut where"
        " they ask for less",
        "lift them one by one",
    ),
    Reason.WALLED_GARDEN: Explanation(
        "suspended, and on the device: the peer reaches what `spec.walledGarden` of the server says",
        "lift the entries of `spec.suspensions` that the message names",
    ),
    Reason.THROTTLED: Explanation(
        "suspended, and on the device: the peer is as slow as `spec.throttle` of the server says",
        "lift the entries of `spec.suspensions` that the message names",
    ),
    Reason.REMOVING: Explanation("the agent has not confirmed the removal yet", "see AgentUnreachable"),
    Reason.SERVER_NOT_FOUND: Explanation(
        "no WireGuardServer of that name in that namespace", "create it or correct `spec.serverRef`"
    ),
    Reason.SERVER_NOT_ALLOWED: Explanation(
        "the server is in another namespace and does not admit this one; whether it exists is not told",
        "`spec.allowedNamespaces` of the server",
        lasting=True,
    ),
    Reason.SERVER_DISABLED: Explanation("`spec.enabled` of the server is false: all its peers are off the device"),
    Reason.SERVER_DELETING: Explanation("the server is being deleted and takes no new peers", "name another server"),
    Reason.SERVER_NOT_READY: Explanation("the server's keys or endpoint are not ready", "see the server's conditions"),
    Reason.NO_SERVER_AVAILABLE: Explanation(
        "no server that the selector matches has room; the message says why each was passed over",
        "another server, more room, or another selector; the peer is placed by itself then",
        lasting=True,
    ),
    Reason.SERVER_FULL: Explanation(
        "the server has `spec.maxPeers` peers", "raise it, or another server; the peer comes up by itself", lasting=True
    ),
    Reason.POOL_EXHAUSTED: Explanation(
        "no free address",
        "a larger network, or wait for the cool-down that the message names; the peer comes up by itself",
        lasting=True,
    ),
    Reason.ADDRESS_TAKEN: Explanation(
        "the requested address belongs to another peer or rests after one",
        "another address; if this one becomes free the peer gets it by itself",
        lasting=True,
    ),
    Reason.ADDRESS_UNUSABLE: Explanation(
        "the requested address is outside the server's networks, or reserved", "another address", lasting=True
    ),
    Reason.ROUTE_CONFLICT: Explanation(
        "a prefix of `spec.routes` overlaps the server's networks or an older peer's route; the tunnel works without",
        "correct one of them",
        lasting=True,
    ),
    Reason.NETWORK_IN_USE: Explanation(
        "the new `spec.networks` leave out addresses that peers hold; the former networks stay in force",
        "restore them, or delete or move the peers that the message names",
        lasting=True,
    ),
    Reason.DUPLICATE_PUBLIC_KEY: Explanation(
        "an older peer of this server uses the key", "give each device its own", lasting=True
    ),
    Reason.SECRET_NOT_FOUND: Explanation("the Secret with the key to import is not there", "create it"),
    Reason.SECRET_CONFLICT: Explanation(
        "a Secret of the needed name was made by somebody else", "rename or delete it", lasting=True
    ),
    Reason.SECRET_REFUSED: Explanation(
        "the API server refuses a Secret", "see the message: rights, quota", lasting=True
    ),
    Reason.KEY_INVALID: Explanation("the Secret holds no WireGuard key there", "put the key there", lasting=True),
    Reason.KEY_LOST: Explanation(
        "the Secret with the keys was deleted while no controller that knew them was running",
        "restore it from a backup, or raise `spec.keyGeneration` for new keys",
        lasting=True,
    ),
    Reason.DEVICE_REFUSED: Explanation(
        "WireGuard did not take the peer, or nft its rules", "see the message", lasting=True
    ),
    Reason.AGENT_UNREACHABLE: Explanation(
        "the agent does not answer, or has not dialled; the tunnels go on as they are", "the network, the agent's log"
    ),
    Reason.AGENT_NOT_TRUSTED: Explanation(
        "the agent's certificate is not of the operator's CA, or not for this server",
        "enrol the host again, or give it a new bundle",
        lasting=True,
    ),
    Reason.AGENT_FAILED: Explanation("the agent could not do what it was asked", "the agent's log"),
    Reason.ENDPOINT_PENDING: Explanation(
        "nothing tells yet how subscribers reach the server's pods",
        "wait for the load balancer, or set `spec.endpoint`",
    ),
    Reason.POD_NOT_READY: Explanation(
        "the server's pod is not running yet; the message has what Kubernetes says of it", "see the message"
    ),
    Reason.PODS_REFUSED: Explanation(
        "the API server refuses a Deployment, Service or other child of the server", "see the message", lasting=True
    ),
    Reason.FORWARDING_OFF: Explanation(
        "the agent's network does not forward: subscribers reach the server alone",
        "the sysctl that the message names, on the host, or `spec.dataPlane.ipv6Forwarding` for pods",
    ),
    Reason.NO_STANDBY: Explanation(
        "the server has two replicas and no pod that could take over: subscribers are served, by one pod alone",
        "see the message and the pods; a new pod takes a few seconds",
    ),
    Reason.NOT_SUPPORTED: Explanation(
        "the peer asks for what the system behind the server cannot do; the message names fields and system",
        "leave the field out, name another server, or allow to go without by `spec.dataPlane.degradations`",
        lasting=True,
    ),
    Reason.DEGRADED: Explanation(
        "the server carries the peer, but without what the message names: the system behind it cannot do it, and"
        " `spec.dataPlane.degradations` of the server allows that",
    ),
    Reason.SYSTEM_UNREACHABLE: Explanation(
        "the system behind the server does not answer; its tunnels go on as they are",
        "the network, the system's log, `spec.dataPlane`",
    ),
    Reason.SYSTEM_REFUSED: Explanation(
        "the system behind the server does not let the operator in, or its certificate cannot be verified",
        "what the message says: the Secret with the credentials, its ca.crt, the user's rights",
        lasting=True,
    ),
    Reason.SYSTEM_FAILED: Explanation(
        "the system behind the server did not do as it was asked; it is asked again", "the system's log"
    ),
    Reason.SYSTEM_UNSUITABLE: Explanation(
        "the system behind the server is of a version that cannot be worked with, or has other networks",
        "what the message says",
        lasting=True,
    ),
    Reason.SYSTEM_IN_USE: Explanation(
        "another WireGuardServer works with the same system, which bears one only",
        "delete one of the two, or correct its URL",
        lasting=True,
    ),
    Reason.SYSTEM_DRIFTED: Explanation(
        "the system behind the server lacks peers on its device that it should have; the operator repairs it",
        "see the message; if it stays, the system's log",
    ),
    Reason.WAITING_FOR_PEERS: Explanation(
        "the server is being deleted and waits for the peers that the message counts; they are served until then",
        "delete or move them",
    ),
    Reason.ADMITTED: Explanation("event: the peer is back on the device"),
    Reason.MOVED: Explanation("event: the peer went to another server"),
    Reason.KEYS_ROTATED: Explanation("event: new keys were made"),
    Reason.FINAL_USAGE: Explanation("event: the peer was deleted; the message has its traffic totals"),
    Reason.AGENT_CONNECTED: Explanation("event: the agent answers again"),
    Reason.TAKEN_OVER: Explanation("event: another pod of the server serves its subscribers; the message says why"),
}


def is_lasting(reason: str) -> bool:
    """Whether somebody has to act before anything changes."""
    return EXPLANATIONS[Reason(reason)].lasting
