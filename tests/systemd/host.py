"""This machine as a host of the product: the program where a service sees it, installed as docs/hosts.md says.

Only for the virtual machine of tools/kernel: it writes to /opt and /etc/systemd, and calls a network of this machine's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.agent.agent_lab import REPOSITORY, Agent, Lab, Namespace, sh
from wireguard_operator.agent.install import UNIT

INTERFACE = "wg0"
SERVICE = UNIT.replace("@", f"@{INTERFACE}")
STATE = Path("/var/lib/wireguard-operator")
PROGRAM = Path("/opt/wireguard-operator/bin/wireguard-operator")
START_SECONDS = 120.0
"""An emulated processor reads the program in for long."""
WATCHDOG_SECONDS = 10
"""Instead of a minute, so that a test need not wait for that."""

_PYTHON, _PACKAGES, _SOURCE = Path("/opt/python"), Path("/opt/packages"), Path("/opt/source")
_SCRIPT = """#!/opt/wireguard-operator/bin/python
import sys
from wireguard_operator.__main__ import main
sys.exit(main())
"""
_DROP_IN = f"""[Service]
WatchdogSec={WATCHDOG_SECONDS}
TimeoutStartSec={START_SECONDS}
# Where Python was linked with a library in a home.
Environment=LD_LIBRARY_PATH={_PYTHON}/lib
# Where a test puts wireguard-go: /usr is another machine's.
Environment=PATH=/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


@dataclass
class ThisMachine(Namespace):
    """The network namespace of the first process, by a name."""

    def __post_init__(self) -> None:
        sh("ip", "netns", "attach", self.name, "1")


class UnitAgent(Agent):
    """The agent that systemd runs; the methods that ask it are those of all agents."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, lab.server, lab.directory)
        self.interface = INTERFACE
        self.url = "https://192.0.2.1:8443"
        self.bundle = self.pki.bundle("192.0.2.1:8443")

    def install(self, *options: str, bundle: bool = True) -> None:
        """Call ``host-install``; it returns when systemd says that the service runs."""
        words = [
            str(PROGRAM),
            "host-install",
            "--interface",
            INTERFACE,
            *(("--bundle", "-") if bundle else ()),
            *options,
        ]
        done = subprocess.run(
            words,
            input=self.bundle.model_dump_json() if bundle else "",
            capture_output=True,
            text=True,
            timeout=START_SECONDS * 2,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{journal()}"


def lay_out_program() -> None:
    """What `python3 -m venv` and pip make in /opt, of what this machine has already."""
    for source, target in (
        (sys.base_prefix, _PYTHON),
        (sysconfig.get_path("purelib"), _PACKAGES),
        (str(REPOSITORY / "operator"), _SOURCE),
    ):
        target.mkdir()
        sh("mount", "--bind", source, str(target))
    home, version = PROGRAM.parents[1], f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = home / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "product.pth").write_text(f"{_SOURCE}\n{_PACKAGES}\n")
    (home / "pyvenv.cfg").write_text(f"home = {_PYTHON}/bin\ninclude-system-site-packages = false\n")
    PROGRAM.parent.mkdir()
    (PROGRAM.parent / "python").symlink_to(_PYTHON / "bin" / version)
    PROGRAM.write_text(_SCRIPT)
    PROGRAM.chmod(0o755)
    drop_in = Path(f"/etc/systemd/system/{UNIT}.d/test.conf")
    drop_in.parent.mkdir()
    drop_in.write_text(_DROP_IN)


def systemctl(*words: str) -> str:
    """What systemctl prints."""
    return sh("systemctl", *words)


def show(*names: str) -> dict[str, str]:
    """Properties of the service."""
    lines = systemctl("show", SERVICE, f"--property={','.join(names)}").splitlines()
    return dict(line.split("=", 1) for line in lines)


def main_pid() -> int:
    """The agent's process; 0 where there is none."""
    return int(show("MainPID")["MainPID"])


def journal() -> str:
    """What the service and systemd have to say about it."""
    return sh("journalctl", "--no-pager", "-o", "short-monotonic", "-u", SERVICE)
