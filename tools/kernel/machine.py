"""One virtual machine for one command: qemu for the processor, virtiofsd for the root.

The processor is emulated even where hardware could help: what /dev/kvm offers inside of other virtual machines
differs from place to place, and a lane that works in one way works everywhere.
"""

import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tools.controlplane.paths import REPOSITORY, say
from tools.kernel.package import Kernel

LIMIT_SECONDS = 600.0
"""For all of it, on a slow machine; each of the two runs of `make kernel` takes 3 to 5 minutes on two cores."""
START_SECONDS = 10.0
STOP_SECONDS = 10.0
MEMORY = "1536M"

_QEMU = "qemu-system-x86_64"
_VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")
_PASSED_ON = ("PYTHONPATH", "LANG", "XDG_CACHE_HOME", "HOME")
_SYSTEMD = Path("/lib/systemd/systemd")
_MODULES = ("veth", "tun", "nf_tables", "nft_limit", "nft_ct", "nft_masq", "nft_chain_nat", "wireguard")
_MODULES_SYSTEMD = ("veth", "tun", "overlay")
"""What an agent needs beyond these is loaded when it asks for it, as on any host."""
_READ_ONLY = """
cut -d" " -f5 /proc/self/mountinfo | while read -r point; do
    mount -o remount,bind,ro "$(printf %b "$point")" || exit 1
done || exit 1
exec "$@"
"""
_QUIET = "quiet panic=-1 mitigations=off audit=0 selinux=0 apparmor=0 tsc=reliable no_timer_check nokaslr"


class MachineError(RuntimeError):
    """The machine cannot be started, or ended without the command's exit code; the message says why."""


def run_in_machine(
    kernel: Kernel, command: Sequence[str], limit: float = LIMIT_SECONDS, *, systemd: bool = False
) -> int:
    """Boot, run ``command`` in the checkout, print what it prints; its exit code. Raises MachineError.

    The command finds all files of this machine, read-only, a writable TMPDIR and no network. With ``systemd`` that is
    the first process, and /etc, /opt, /tmp and /var can be written, too: in memory.
    """
    qemu, virtiofsd = find_programs()
    if systemd and not os.access(_SYSTEMD, os.X_OK):
        raise MachineError("systemd is missing; install the package systemd, which need not run here")
    began = time.monotonic()
    say(f"booting Linux {kernel.version} in qemu, at most {limit:.0f} s for all ...")
    with tempfile.TemporaryDirectory(prefix="wgkernel-") as scratch:
        directory = Path(scratch)
        write_job(directory, kernel, command, systemd=systemd)
        with _files(virtiofsd, directory):
            arguments = qemu_arguments(kernel, directory)
            code = _run(qemu, arguments, directory, limit)
    say(f"the virtual machine took {time.monotonic() - began:.0f} s")
    return code


def find_programs() -> tuple[str, str]:
    """qemu and virtiofsd. Raises MachineError with the packages that have them."""
    qemu = shutil.which(_QEMU)
    if qemu is None:
        raise MachineError(f"{_QEMU} is missing; install the package qemu-system-x86")
    virtiofsd = shutil.which("virtiofsd") or next((path for path in _VIRTIOFSD if os.access(path, os.X_OK)), None)
    if virtiofsd is None:
        raise MachineError("virtiofsd is missing; install the package virtiofsd, before Debian 13 qemu-system-common")
    if shutil.which("modprobe") is None:
        raise MachineError("modprobe is missing; install the package kmod")
    return qemu, virtiofsd


def write_job(directory: Path, kernel: Kernel, command: Sequence[str], *, systemd: bool = False) -> None:
    """The machine's first process, and what it shall run, as files that it finds."""
    directory.chmod(0o755)
    shutil.copy(Path(__file__).with_name("init.sh"), directory / "init")
    (directory / "init").chmod(0o755)
    shutil.copy(Path(__file__).with_name("systemd.sh"), directory / "systemd")
    settings = {
        "KERNEL_MODULES": str(kernel.modules),
        "MODULES": " ".join(_MODULES_SYSTEMD if systemd else _MODULES),
        "SYSTEMD": "yes" if systemd else "",
    }
    (directory / "settings").write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()))
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {"TMPDIR": "/run/tmp", "PYTHONDONTWRITEBYTECODE": "1", "KERNEL_MODULES": str(kernel.modules)}
    if not sys.stdout.isatty():
        environment["NO_COLOR"] = "1"  # the machine's own end of the line always is a terminal
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    (directory / "command").write_text(
        "\n".join([*lines, f"cd {shlex.quote(str(REPOSITORY))}", shlex.join(command), ""])
    )


def qemu_arguments(kernel: Kernel, directory: Path) -> list[str]:
    """How qemu is called: no display, no network, this machine's root, three serial ports."""
    return [
        *("-M", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "1", "-m", MEMORY),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-object", f"memory-backend-memfd,id=memory,size={MEMORY},share=on", "-numa", "node,memdev=memory"),
        *("-chardev", f"socket,id=root,path={directory / 'root.sock'}"),
        *("-device", "vhost-user-fs-pci,chardev=root,tag=root", "-device", "virtio-rng-pci"),
        *("-serial", f"file:{directory / 'console'}", "-serial", "stdio", "-serial", f"file:{directory / 'code'}"),
        *("-kernel", str(kernel.image)),
        *("-append", f"console=ttyS0 rootfstype=virtiofs root=root ro init={directory / 'init'} {_QUIET}"),
    ]


@contextmanager
def _files(virtiofsd: str, directory: Path) -> Iterator[None]:
    """Serve this machine's files to the guest on a socket in ``directory``.

    The server has a mount namespace in which everything is read-only: root in the guest cannot write, whatever it
    mounts.
    """
    log = directory / "virtiofsd.log"
    options = ["-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot", "--thread-pool-size=4"]
    with log.open("wb") as output, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "root.sock"))
        listener.listen()
        number = listener.fileno()
        server = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _READ_ONLY, "sh", virtiofsd, f"--fd={number}", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
            pass_fds=[number],
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _runs(server, virtiofsd):
            if server.poll() is not None or time.monotonic() > deadline:
                raise MachineError(f"virtiofsd does not start; it says:\n{_tail(log)}")
            time.sleep(0.05)
        yield
    finally:
        _end(server)


def _runs(server: subprocess.Popen[bytes], program: str) -> bool:
    """Whether the process has become the program that it prepares the ground for."""
    try:
        return Path(f"/proc/{server.pid}/exe").samefile(program)
    except OSError:
        return False


def _run(qemu: str, arguments: Sequence[str], directory: Path, limit: float) -> int:
    with (directory / "qemu.log").open("wb") as log:
        # A group of its own: an interrupt at the terminal reaches this process, which then ends the other.
        machine = subprocess.Popen(
            [qemu, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, process_group=0
        )
    assert machine.stdout is not None  # noqa: S101 - it is a pipe
    try:
        finished = _print(machine.stdout, time.monotonic() + limit)
        if not finished:
            raise MachineError(
                f"the virtual machine did not end within {limit:.0f} s; its kernel says:\n{_said(directory)}"
            )
        machine.wait(STOP_SECONDS)
    finally:
        _end(machine)
        machine.stdout.close()
    code = directory / "code"
    text = code.read_text().strip() if code.exists() else ""
    if not text.isdecimal():
        raise MachineError(f"the virtual machine ended before the command; its kernel says:\n{_said(directory)}")
    return int(text)


def _print(source: IO[bytes], deadline: float) -> bool:
    """Pass on what comes until it ends; False when that is not before ``deadline``."""
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([source], [], [], left)
        if ready:
            chunk = os.read(source.fileno(), 65536)
            if not chunk:
                return True
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    return False


def _said(directory: Path) -> str:
    return "\n".join(filter(None, (_tail(directory / name) for name in ("qemu.log", "console"))))


def _tail(path: Path, lines: int = 20) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
