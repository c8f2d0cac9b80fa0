"""What can be set about the controller, and how kopf is set up for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import kopf

from ..api.base import GROUP


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of ``wireguard-operator controller``. Times are in seconds."""

    kubeconfig: str | None = None
    """None: the pod's service account, else the user's kubeconfig."""
    namespace: str = "wireguard-system"
    """Where the operator keeps its own Secrets."""
    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty: all. Fewer need fewer rights."""
    image: str = "wireguard-operator:latest"
    """Image of servers' pods."""
    leader_elect: bool = False
    """Wait for the Lease before any work, so that of several replicas one works."""
    health_port: int = 0
    """Port of /livez and /readyz; 0: none."""
    metrics_port: int = 0
    """Port of /metrics; 0: none."""
    dial_in: str = ""
    """Where agents on hosts enrol, renew their certificates and dial in, e.g. [::]:8444; fd://N takes an open listening
    socket. Empty: nowhere."""
    host_certificate_life: float = 90 * 86400.0
    """Of certificates of hosts that enrol; they renew them when 60 % of it have passed."""
    peer_metrics: bool = True
    """Four series for each peer in /metrics, too."""
    stats_interval: float = 30.0
    """Between reads of an agent's counters. Shorter makes ``online`` prompter and costs a device dump each."""
    traffic_interval: float = 60.0
    """Least time between writes of one peer's byte counters to its status; every write costs etcd about 2 ms."""
    statistics_writes: float = 50.0
    """Statuses a second that are written for new byte counters alone; with more busy peers each waits longer."""
    cool_down: float = 86400.0
    """Time for which an address that was given back is given to nobody else."""
    sweep_interval: float = 300.0
    """Between searches for objects whose deletion the watch missed."""
    status_workers: int = 16
    """Status writes in flight at once."""


def configure_kopf(settings: kopf.OperatorSettings) -> None:
    """Set kopf up for event handlers over many objects; each value was measured, see docs/architecture.md."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.chunk_size = 500
    # A watch that the server ends itself is renewed without a gap; a dead connection is noticed.
    settings.watching.server_timeout = 600
    settings.queueing.idle_timeout = 0.05
    # kopf's default gives up, and ends the operator, after about a minute of errors.
    settings.networking.error_backoffs = _Endless((1, 1, 2, 3, 5, 8))
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.process.ultimate_exiting_timeout = 30


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf copies each object to compare it with its last state, which event handlers never ask for."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        """Nothing to compare."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing is stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""


class _Endless:
    """Back-offs that go on with their last value; iterable again and again, as kopf iterates anew per request."""

    def __init__(self, delays: tuple[float, ...]) -> None:
        self._delays = delays

    def __iter__(self) -> itertools.chain[float]:
        return itertools.chain(self._delays, itertools.repeat(self._delays[-1]))
