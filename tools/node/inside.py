"""The first process in the new namespaces: it makes the place fit, starts the session and reaps what is left.

Network and mounts are private here, the files below them are not. So what kubelet, containerd and the CNI plugins write
goes to memory: /run is empty, and writes to /etc and /var land in an overlay. Some kernel settings that kubelet insists
on are the whole machine's; it gets ordinary files in their place.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_OVERLAID = ("/etc", "/var", "/usr/libexec")
_MACHINE_WIDE = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def prepare() -> None:
    """Make file systems and the loopback interface."""
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    scratch = Path("/run/isolation")
    for path in _OVERLAID:
        upper, work = scratch / path.strip("/") / "upper", scratch / path.strip("/") / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        _mount("-t", "overlay", "-o", f"lowerdir={path},upperdir={upper},workdir={work}", "overlay", path)
    for name in _MACHINE_WIDE:
        real, copy = Path("/proc/sys", name), scratch / "sysctl" / name
        if real.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(real.read_text())
            _mount("--bind", str(copy), str(real))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def run(command: Sequence[str]) -> int:
    """Run the command and reap every process that ends meanwhile: orphans come to the first process."""
    child = os.posix_spawnp(command[0], list(command), os.environ)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    if os.getpid() != 1:
        sys.exit("tools.node.inside is started by tools.node, in a pid namespace of its own")
    prepare()
    try:
        # A process of its own: the first one reaps every child, and would take those of the control plane and the node.
        sys.exit(run([sys.executable, "-m", "tools.node.session", *sys.argv[1:]]))
    except KeyboardInterrupt:
        sys.exit(130)
