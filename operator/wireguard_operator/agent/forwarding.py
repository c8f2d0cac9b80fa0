"""IP forwarding: without it the kernel drops what subscribers send to anybody but the server itself.

It is a setting of the network namespace, and a new namespace (a pod) does not inherit it.
"""

from __future__ import annotations

import logging
from pathlib import Path

logger = logging.getLogger(__name__)

SWITCHES = {
    "net.ipv4.ip_forward": Path("/proc/sys/net/ipv4/ip_forward"),
    "net.ipv6.conf.all.forwarding": Path("/proc/sys/net/ipv6/conf/all/forwarding"),
}


def enable() -> tuple[str, ...]:
    """Turn forwarding on in this network namespace; where that is not allowed, a sentence that says what to set."""
    warnings = []
    for name, path in SWITCHES.items():
        try:
            if path.read_text().strip() == "0":
                path.write_text("1")
                logger.info("%s set to 1", name)
        except FileNotFoundError:
            logger.info("%s does not exist; this host lacks that address family", name)
        except OSError as error:
            warning = (
                f"{name} is 0 and cannot be set ({error.strerror}): subscribers reach this server only;"
                " set it on the host, or in the pod's securityContext.sysctls"
            )
            logger.warning("%s", warning)
            warnings.append(warning)
    return tuple(warnings)
