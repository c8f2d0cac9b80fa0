"""What the virtual machine for the kernel's driver is made of, without booting it."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.kernel import machine, package
from tools.kernel.package import Kernel


def test_the_newest_build_is_read_from_its_meta_package() -> None:
    shown = "Package: linux-image-6.12-cloud-amd64\nDepends: linux-image-6.12.117+deb12-cloud-amd64 (= 6.12.117-1)\n"
    assert package.build_of(shown) == "linux-image-6.12.117+deb12-cloud-amd64"
    assert package.build_of("Package: other\nDepends: libc6\n") is None


def test_the_kernel_that_was_fetched_last_is_taken_and_half_of_one_is_not(tmp_path: Path) -> None:
    assert package.newest(tmp_path) is None
    for seconds, folder in ((2, "6.12.9"), (1, "6.12.10"), (3, ".fetch-1")):
        image = tmp_path / folder / "boot" / f"vmlinuz-{folder}"
        image.parent.mkdir(parents=True)
        image.touch()
        os.utime(image, (seconds, seconds))
    found = package.newest(tmp_path)
    assert found == Kernel("6.12.9", tmp_path / "6.12.9/boot/vmlinuz-6.12.9", tmp_path / "6.12.9")


@pytest.mark.parametrize("missing", ["qemu-system-x86_64", "virtiofsd", "modprobe"])
def test_a_missing_program_is_told_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    for name in {"qemu-system-x86_64", "virtiofsd", "modprobe"} - {missing}:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "_VIRTIOFSD", ())
    with pytest.raises(machine.MachineError, match=f"{missing} is missing; install"):
        machine.find_programs()


def test_the_command_runs_in_the_checkout_with_its_arguments_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", "a b'c")
    kernel = Kernel("6.12", tmp_path / "vmlinuz", tmp_path / "mod ules")
    machine.write_job(tmp_path, kernel, ["printf", "%s|", "$HOME", "it's", "x y"])
    script = (tmp_path / "command").read_text()
    done = subprocess.run(["sh", "-c", f'{script}\npwd; echo "$PYTHONPATH|$KERNEL_MODULES|$TMPDIR"'],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == f"$HOME|it's|x y|{machine.REPOSITORY}\na b'c|{kernel.modules}|/run/tmp\n"


def test_only_a_machine_with_systemd_is_told_to_start_it(tmp_path: Path) -> None:
    kernel = Kernel("6.12", tmp_path / "vmlinuz", tmp_path / "mod ules")
    script = f'. {tmp_path}/settings; echo "$KERNEL_MODULES|$SYSTEMD"; for m in $MODULES; do echo $m; done'
    for systemd, told, early in ((False, "", True), (True, "yes", False)):
        machine.write_job(tmp_path, kernel, ["true"], systemd=systemd)
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
        first, *modules = done.stdout.splitlines()
        assert first == f"{kernel.modules}|{told}"
        assert ("wireguard" in modules) is early  # else the agent's request loads it
    assert (tmp_path / "systemd").is_file()


def test_a_machine_without_systemd_is_told_which_package_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "find_programs", lambda: ("qemu", "virtiofsd"))
    monkeypatch.setattr(machine, "_SYSTEMD", tmp_path / "systemd")
    with pytest.raises(machine.MachineError, match="install the package systemd"):
        machine.run_in_machine(Kernel("6.12", tmp_path, tmp_path), ["true"], systemd=True)


def test_a_machine_that_dies_before_the_command_ends_is_told_with_what_its_kernel_said(tmp_path: Path) -> None:
    (tmp_path / "console").write_text("Kernel panic - not syncing\n")
    with pytest.raises(machine.MachineError, match=r"ended before the command.*\n.*Kernel panic"):
        machine._run("true", [], tmp_path, 10)


def test_a_machine_that_hangs_is_ended_when_its_time_is_up(tmp_path: Path) -> None:
    with pytest.raises(machine.MachineError, match="did not end within 0 s"):
        machine._run("sleep", ["60"], tmp_path, 0.2)


def test_the_exit_code_is_the_commands(tmp_path: Path) -> None:
    (tmp_path / "code").write_text("3\n")
    assert machine._run("true", [], tmp_path, 10) == 3
