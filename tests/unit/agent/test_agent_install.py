"""The unit of systemd: what systemd says of it, and where a program may be that it starts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wireguard_operator.agent import install
from wireguard_operator.agent.install import InstallError

MOST_EXPOSURE = 30
"""Of 100, in the words of systemd-analyze; a service without any sandbox has 96."""


def analyze(*arguments: str) -> str:
    assert shutil.which("systemd-analyze"), "the tests need systemd-analyze: install the package systemd"
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    path = tmp_path / "wireguard-operator-agent@wg0.service"
    path.write_text(install.make_unit("/usr/bin/true", "auto"))
    return path


def test_systemd_has_nothing_to_say_against_the_unit(unit: Path) -> None:
    assert analyze("verify", str(unit)) == ""


def test_little_is_exposed(unit: Path) -> None:
    report = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", "--json=short", str(unit))
    exposed = {entry["json_field"] for entry in json.loads(report) if not entry["set"]}
    assert "SystemCallFilter_privileged" not in exposed and "RestrictNamespaces_net" not in exposed


def test_the_unit_starts_this_program_for_the_interface_that_is_its_instance() -> None:
    text = install.make_unit("/opt/100% wg/bin/wireguard-operator", "kernel")
    assert "ExecStart=/opt/100%% wg/bin/wireguard-operator agent --interface %i --driver kernel\n" in text
    assert "@PROGRAM@" not in text and "@DRIVER@" not in text
    # wireguard-go outlives its agent, and finds its sockets where `wg` looks for them.
    assert "KillMode=process\n" in text and "RuntimeDirectoryPreserve=yes\n" in text


@pytest.mark.parametrize("folder", ["/root/venv/bin", "/home/noc/bin", "/tmp/bin"])
def test_a_program_that_services_do_not_see_is_refused(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [f"{folder}/wireguard-operator"])
    monkeypatch.setattr("os.access", lambda *_: True)
    with pytest.raises(InstallError, match="a folder that services do not see"):
        install._program()


def test_a_python_that_services_do_not_see_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/x/bin/wireguard-operator"])
    monkeypatch.setattr("os.access", lambda *_: True)
    monkeypatch.setattr(sys, "base_prefix", "/root/.pyenv/versions/3.11.7")
    with pytest.raises(InstallError, match=r"the Python of /opt/x/bin/wireguard-operator is in /root/\.pyenv"):
        install._program()
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert install._program() == "/opt/x/bin/wireguard-operator"


def test_a_module_is_started_by_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "argv", ["/opt/x/wireguard_operator/__main__.py"])
    monkeypatch.setattr(sys, "executable", "/opt/x/bin/python")
    assert install._program() == "/opt/x/bin/python -m wireguard_operator"


def test_the_unit_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / install.UNIT
    assert install._write(path, "one")
    assert path.stat().st_mode & 0o777 == 0o644
    assert not install._write(path, "one")
    assert install._write(path, "two") and path.read_text() == "two"
    assert [entry.name for entry in tmp_path.iterdir()] == [install.UNIT]
    with pytest.raises(InstallError, match="cannot be written"):
        install._write(tmp_path / "none" / install.UNIT, "one")


def test_a_host_without_systemd_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(InstallError, match="does not run systemd"):
        install._require_systemd()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(InstallError, match="use sudo"):
        install._require_systemd()
