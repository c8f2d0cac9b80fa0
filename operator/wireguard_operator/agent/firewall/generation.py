"""The kernel's number of the last change to any nft table of this network namespace.

As long as it stands where it stood after our own change, nobody else can have touched our table, and there is no need
to list 10,000 peers' rules to see that.
"""

from __future__ import annotations

import socket
import struct

from ..nlattr import CodecError, attributes

_NETFILTER = 12
_GET, _NEW = 0xA10, 0xA0F
"""Subsystem NFNL_SUBSYS_NFTABLES (10) with NFT_MSG_GETGEN and NFT_MSG_NEWGEN (linux/netfilter/nf_tables.h)."""
_REQUEST = struct.Struct("=IHHIIBBH")
_GEN_ID = 1
_SECONDS = 5.0


def current() -> int | None:
    """The number; None where the kernel does not tell."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as connection:
            connection.settimeout(_SECONDS)
            connection.send(_REQUEST.pack(_REQUEST.size, _GET, 1, 1, 0, 0, 0, 0))
            answer = connection.recv(8192)
        if len(answer) < _REQUEST.size or _REQUEST.unpack_from(answer)[1] != _NEW:
            return None
        return next(
            int.from_bytes(answer[first:end], "big")
            for kind, first, end in attributes(answer, _REQUEST.size, len(answer))
            if kind == _GEN_ID
        )
    except (OSError, CodecError, StopIteration):
        return None
