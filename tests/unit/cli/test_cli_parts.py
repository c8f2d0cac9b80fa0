"""The entry point: all parts are there, and a host's come without the others."""

import subprocess
import sys
from pathlib import Path

import pytest

from wireguard_operator.__main__ import HOST_PARTS, main


def test_the_help_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out.split()
    for name in (*HOST_PARTS, "controller", "gateway", "host-bundle", "host-token", "import", "config", "crds"):
        assert name in shown


@pytest.mark.parametrize("name", HOST_PARTS)
def test_a_hosts_part_starts_without_what_the_others_need(name: str) -> None:
    program = f"""
import sys
from wireguard_operator.__main__ import main
try:
    main([{name!r}, "--help"])
except SystemExit:
    print({{"fastapi", "kopf", "kubernetes"}} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"wireguard-operator {name}" in done.stdout
    assert done.stderr == "set()\n"


def test_kubectl_finds_the_command_as_its_plugin() -> None:
    # kubectl runs what is named kubectl-NAME in PATH as `kubectl NAME`.
    plugin = Path(sys.executable).parent / "kubectl-wireguard"
    done = subprocess.run([plugin, "import", "wg-easy", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: kubectl wireguard import wg-easy")
