"""Which driver carries the packets: the kernel's module where there is one, else wireguard-go.

What runs already under the interface's name goes on: no session ends because a newer kernel could carry it.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from . import daemon
from .device import Device, DeviceError
from .kernel import KIND, KernelDevice
from .link import Link, NoKindError
from .userspace import UserspaceDevice

logger = logging.getLogger(__name__)

AUTO, KERNEL, USERSPACE = DRIVERS = ("auto", "kernel", "userspace")


async def make_device(driver: str, name: str, *, binary: Path, uapi_directory: Path, crash_log: Path) -> Device:
    """The device of one of DRIVERS; nothing is made yet. Raises DeviceError when it could never be.

    ``kernel`` on a kernel without WireGuard is no error here but in ``ensure``: an agent that runs can say why it
    serves nobody.
    """
    if driver == KERNEL or (driver == AUTO and await in_kernel(name)):
        return KernelDevice(name)
    try:
        daemon.preflight(binary)
    except DeviceError as error:
        raise DeviceError(f"this kernel has no WireGuard, and {error}" if driver == AUTO else str(error)) from None
    return UserspaceDevice(name, binary=binary.absolute(), uapi_directory=uapi_directory, crash_log=crash_log)


async def in_kernel(name: str) -> bool:
    """Whether the kernel's driver is the one for this interface. Raises DeviceError without the right to find out."""
    found = await Link(name).find()
    if found is not None:
        return found.kind == KIND
    # Whether there is a module, and whether it can be loaded, is known when an interface has been made.
    probe = Link(f"wgprobe{secrets.token_hex(4)}")
    try:
        await probe.create(KIND)
    except NoKindError:
        logger.info("this kernel has no WireGuard; wireguard-go carries the packets")
        return False
    made = await probe.find()
    if made is not None:
        await probe.delete(made.index)
    return True
