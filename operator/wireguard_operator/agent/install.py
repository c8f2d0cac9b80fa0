"""``wireguard-operator host-install``: the agent as a service of systemd, started now and at every boot.

Whoever runs it again changes what differs and nothing else; a restart of the agent does not touch the tunnels.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

from . import driver, enrolment
from .store import Store, StoreError, replace_file

UNIT = "wireguard-operator-agent@.service"
UNIT_DIRECTORY = Path("/etc/systemd/system")
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"), Path("/tmp"))  # noqa: S108 - not for files of ours
"""Folders that the unit does not see (ProtectHome, PrivateTmp)."""


class InstallError(Exception):
    """The service cannot be installed; the text says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``host-install``."""
    enrolment.add_identity_arguments(parser)
    parser.add_argument("--driver", choices=driver.DRIVERS, default=driver.AUTO, help="default: %(default)s")
    parser.add_argument("--print-unit", action="store_true", help="print the unit and do nothing")


def run(args: argparse.Namespace) -> int:
    """Install; the exit code."""
    try:
        unit = make_unit(_program(), args.driver)
        if args.print_unit:
            print(unit, end="")
            return 0
        _require_systemd()
        enrolment.take_identity(args, needed=not _has_identity(args))
        changed = _write(UNIT_DIRECTORY / UNIT, unit)
        name = UNIT.replace("@", f"@{args.interface}")
        if changed:
            _systemctl("daemon-reload")
        _systemctl("enable", name)
        _systemctl("restart", name)
    except (InstallError, StoreError, enrolment.EnrolmentError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{name} runs; see: systemctl status {name}, journalctl -u {name}")
    return 0


def make_unit(program: str, driver_name: str) -> str:
    """The text of the unit."""
    # ExecStart takes words as a shell quotes them; a percent sign begins a specifier.
    text = (resources.files(__package__) / "systemd" / UNIT).read_text()
    return text.replace("@PROGRAM@", program.replace("%", "%%")).replace("@DRIVER@", driver_name)


def _has_identity(args: argparse.Namespace) -> bool:
    return Store(enrolment.state_directory(args)).load_bundle() is not None


def _program() -> str:
    """How systemd starts this very program."""
    script = Path(sys.argv[0]).absolute()
    if script.name == "__main__.py" or not os.access(script, os.X_OK):
        path = Path(sys.executable)
        words = [str(path), "-m", "wireguard_operator"]
    else:
        path, words = script, [str(script)]
    if _hidden(path):
        raise InstallError(
            f"{path} is in a folder that services do not see: install the program elsewhere, e.g. with"
            " `python3 -m venv /opt/wireguard-operator`"
        )
    # What a virtual environment was made with is not in it: its Python is a link.
    if _hidden(Path(sys.base_prefix)):
        raise InstallError(
            f"the Python of {path} is in {sys.base_prefix}, which services do not see: make the virtual environment"
            " with another one, e.g. `/usr/bin/python3 -m venv --clear /opt/wireguard-operator`"
        )
    return shlex.join(words)


def _hidden(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in HIDDEN)


def _require_systemd() -> None:
    if os.geteuid() != 0:
        raise InstallError("a service is installed by root: use sudo")
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        raise InstallError(
            "this host does not run systemd: have its own init start `wireguard-operator agent`; see docs/hosts.md"
        )


def _write(path: Path, text: str) -> bool:
    try:
        if path.exists() and path.read_text() == text:
            return False
        replace_file(path, text.encode(), 0o644)
    except OSError as error:
        raise InstallError(f"{path} cannot be written: {error.strerror}") from None
    return True


def _systemctl(*words: str) -> None:
    done = subprocess.run(("systemctl", *words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(f"systemctl {' '.join(words)}: {done.stderr.strip()}")
