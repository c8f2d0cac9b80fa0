"""Who wrote what, from the API server's audit log: exact, and it costs the controller nothing.

Requests are told apart by their user agent: the controller, the benchmark's own client, and Kubernetes itself.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from wireguard_operator.kube.client import FIELD_MANAGER
from wireguard_operator.kube.resources import PEERS

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class AuditLog:
    """A growing audit log; counting begins at a mark."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """The present end."""
        return self._path.stat().st_size

    def writes(self, start: int, agent: str = FIELD_MANAGER, peers: str = "") -> Counter[str]:
        """Writes of a user agent since a mark, by verb and resource, as in "patch wireguardpeers/status".

        Of writes to peers only those count whose name begins with ``peers``.
        """
        found: Counter[str] = Counter()
        with self._path.open("rb") as log:
            log.seek(start)
            for line in log:
                if not line.endswith(b"\n"):
                    break  # still being written
                event = json.loads(line)
                if event["verb"] not in WRITES or not event.get("userAgent", "").startswith(agent):
                    continue
                target = event.get("objectRef", {})
                if target.get("resource") == PEERS.plural and not target.get("name", "").startswith(peers):
                    continue
                resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
                code = event.get("responseStatus", {}).get("code", 0)
                found[f"{event['verb']} {resource}" + ("" if code < 300 else f" ({code})")] += 1
        return found
