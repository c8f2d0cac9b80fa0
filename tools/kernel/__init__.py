"""A virtual machine whose kernel has WireGuard, for tests of the kernel's driver on machines without it.

The kernel is Debian's own package, unpacked and not installed. The machine's root is this machine's, read-only by
virtiofs, so that what runs here runs there: the checkout, its virtual environment, the tools. qemu emulates the
processor, which works everywhere, containers and virtual machines included, and boots in some four seconds.
With systemd as its first process it also is a host for the agent's unit, which must not be started on this machine.

    package    find or fetch the kernel        machine    boot it, run one command, pass on its exit code
    init.sh    the machine's first process     __main__   the command line
    systemd.sh what it does to become systemd
"""

from tools.kernel.machine import MachineError, run_in_machine
from tools.kernel.package import PackageError, find_or_fetch

__all__ = ["MachineError", "PackageError", "find_or_fetch", "run_in_machine"]
