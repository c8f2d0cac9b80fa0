"""Where to listen, as people write it: ``192.0.2.1:8443``, ``[::]:8443``, or ``fd://N`` for a socket that is open."""

from __future__ import annotations

import socket


def listener(where: str) -> socket.socket:
    """A listening socket. Raises ValueError with a sentence."""
    try:
        if where.startswith("fd://"):
            found = socket.socket(fileno=int(where.removeprefix("fd://")))
            found.set_inheritable(False)  # else wireguard-go would keep the port when the agent is gone
            return found
        host, _, port = where.rpartition(":")
        bare, family = host.strip("[]"), socket.AF_INET6 if ":" in host else socket.AF_INET
        # [::] means every address: a pod's may be of either family.
        both = family is socket.AF_INET6 and bare == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((bare, int(port)), family=family, backlog=128, dualstack_ipv6=both)
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(f"cannot listen on {where!r}: {error}") from None
