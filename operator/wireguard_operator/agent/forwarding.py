"""IP forwarding: without it the kernel drops what subscribers send to anybody but the server itself.

It is a setting of the network namespace, which a new namespace (a pod) inherits for IPv4 at best. A pod cannot write
it, since /proc/sys is read-only there; but whoever has NET_ADMIN may set IPv4's for each device by rtnetlink
(``IFLA_INET_CONF``, rtnetlink(7)), and what counts is the device that a packet comes in by. IPv6 has no such way.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from pathlib import Path

logger = logging.getLogger(__name__)

SWITCHES = {
    4: ("net.ipv4.ip_forward", Path("/proc/sys/net/ipv4/ip_forward")),
    6: ("net.ipv6.conf.all.forwarding", Path("/proc/sys/net/ipv6/conf/all/forwarding")),
}
DEVICES = Path("/proc/sys/net/ipv4/conf")

_RTM_SETLINK, _NLM_F_REQUEST, _NLM_F_ACK, _NLMSG_ERROR = 19, 1, 4, 2
_IFLA_AF_SPEC, _IFLA_INET_CONF, _IPV4_DEVCONF_FORWARDING, _NLA_F_NESTED = 26, 1, 1, 0x8000


def enable() -> dict[int, str]:
    """Turn forwarding on in this network namespace; where that cannot be, a sentence by IP version.

    Call ``enable_devices`` whenever there may be a new device.
    """
    warnings = {}
    for version, (name, path) in SWITCHES.items():
        try:
            if path.read_text().strip() == "0":
                path.write_text("1")
                logger.info("%s set to 1", name)
        except FileNotFoundError:
            logger.info("%s does not exist; this host lacks that address family", name)
        except OSError as error:
            if version == 4 and enable_devices():
                continue
            warning = (
                f"{name} is 0 and cannot be set ({error.strerror}): subscribers reach this server only;"
                " set it on the host, or in the pod's securityContext.sysctls"
            )
            logger.warning("%s", warning)
            warnings[version] = warning
    return warnings


def enable_devices() -> bool:
    """Turn IPv4 forwarding on for every device that packets may come in by; whether it is on for all."""
    well = True
    for switch in sorted(DEVICES.glob("*/forwarding")):
        device = switch.parent.name
        if device in ("all", "default", "lo") or switch.read_text().strip() != "0":
            continue
        try:
            _set(socket.if_nametoindex(device))
            logger.info("IPv4 forwarding is on for %s", device)
        except OSError as error:
            if error.errno != errno.ENODEV:  # gone meanwhile
                logger.warning("IPv4 forwarding cannot be turned on for %s: %s", device, error.strerror)
                well = False
    return well


def _set(index: int) -> None:
    value = _attribute(_IPV4_DEVCONF_FORWARDING, struct.pack("=I", 1))
    for kind in (_IFLA_INET_CONF, socket.AF_INET, _IFLA_AF_SPEC):
        value = _attribute(kind | _NLA_F_NESTED, value)
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + value
    header = struct.pack("=IHHII", 16 + len(body), _RTM_SETLINK, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.bind((0, 0))
        netlink.send(header + body)
        answer = netlink.recv(65536)
    kind, code = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    if kind == _NLMSG_ERROR and code:
        raise OSError(-code, os.strerror(-code))


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload
