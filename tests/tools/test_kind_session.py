"""The order of things, and what is cleaned up after which failure, without Docker."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tools.controlplane.paths import REPOSITORY
from tools.image import OPERATOR_IMAGE
from tools.kind import __main__ as command_line
from tools.kind import commands
from tools.kind.engine import EngineError, require_engine
from tools.kind.session import SITES, Machine, Session, SessionError
from tools.progress import CommandError

KIND, TESTS = Path("/bin/kind"), ["pytest", "tests"]
PIDS: dict[str, int | str] = {"subscriber": 41, "internet": 42}


class Recorder:
    """A shell that notes what it is asked, answers for Docker, and fails where it is told to."""

    def __init__(self, fails: list[str] | None = None, code: int = 0, programs: Sequence[str] = ("sleep",)) -> None:
        self.asked: list[list[str]] = []
        self.environment: Mapping[str, str] = {}
        self._fails, self._code, self._programs = fails, code, list(programs)

    def run(self, command: Sequence[str], what: str) -> str:
        self.asked.append(list(command))
        if command == self._fails:
            raise CommandError(f"{what} failed")
        return next((f"{pid}\n" for name, pid in PIDS.items() if command == commands.site_pid(name)), "")

    def attempt(self, command: Sequence[str]) -> None:
        self.asked.append(list(command))

    def call(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        self.asked.append(list(command))
        self.environment = environment
        return self._code

    def program(self, pid: int) -> str:
        return self._programs.pop(0) if len(self._programs) > 1 else self._programs[0]


def away(folder: Path) -> list[list[str]]:
    """All that is asked to clean up."""
    places = [command(name) for name in SITES for command in (commands.detach_site, commands.remove_site)]
    return [*places, commands.delete(KIND, folder / "kubeconfig")]


def logs(folder: Path) -> list[str]:
    return commands.export_logs(KIND, folder / "logs")


def session(shell: Recorder, folder: Path) -> Session:
    return Session(shell, KIND, folder, folder / "logs", patience=0.2)


def test_the_tests_run_between_a_cluster_that_is_made_and_one_that_is_deleted(tmp_path: Path) -> None:
    shell = Recorder()
    assert session(shell, tmp_path).run(TESTS) == 0
    places = [
        command
        for name in SITES
        for command in (
            commands.start_site(name, OPERATOR_IMAGE),
            commands.site_pid(name),
            commands.attach_site(name, int(PIDS[name])),
        )
    ]
    assert shell.asked == [
        commands.build(OPERATOR_IMAGE, REPOSITORY),
        *away(tmp_path),  # what an earlier run left
        commands.create(KIND, tmp_path / "kubeconfig"),
        commands.load(KIND, OPERATOR_IMAGE),
        *places,
        TESTS,
        *away(tmp_path),
    ]


def test_the_tests_are_told_the_cluster_the_image_and_the_places(tmp_path: Path) -> None:
    shell = Recorder()
    session(shell, tmp_path).run(TESTS)
    assert shell.environment == {
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "WG_TEST_IMAGE": OPERATOR_IMAGE,
        "WG_TEST_SUBSCRIBER": "wireguard-operator-e2e-subscriber",
        "WG_TEST_INTERNET": "wireguard-operator-e2e-internet",
    }


def test_after_failed_tests_the_logs_are_taken_before_the_cluster_goes_and_the_exit_code_is_theirs(
    tmp_path: Path,
) -> None:
    shell = Recorder(code=3)
    assert session(shell, tmp_path).run(TESTS) == 3
    assert shell.asked[-len(away(tmp_path)) - 1 :] == [logs(tmp_path), *away(tmp_path)]


@pytest.mark.parametrize(
    "fails",
    [
        commands.load(KIND, OPERATOR_IMAGE),
        commands.start_site("internet", OPERATOR_IMAGE),
        commands.attach_site("subscriber", 41),
    ],
    ids=["load", "start", "attach"],
)
def test_a_failure_half_way_deletes_what_is_there_and_is_told(tmp_path: Path, fails: list[str]) -> None:
    shell = Recorder(fails)
    with pytest.raises(CommandError, match="failed"):
        session(shell, tmp_path).run(TESTS)
    assert shell.asked[-len(away(tmp_path)) :] == away(tmp_path)
    assert TESTS not in shell.asked


def test_an_image_that_cannot_be_built_leaves_an_earlier_cluster_alone(tmp_path: Path) -> None:
    build = commands.build(OPERATOR_IMAGE, REPOSITORY)
    shell = Recorder(build)
    with pytest.raises(CommandError):
        session(shell, tmp_path).run(TESTS)
    assert shell.asked == [build]


def test_a_cluster_that_is_kept_is_not_deleted_and_said_how_to_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Recorder()
    assert session(shell, tmp_path).run(TESTS, keep=True) == 0
    assert shell.asked[-1] == TESTS
    said = capsys.readouterr().err
    assert f"KUBECONFIG={tmp_path}/kubeconfig" in said and "pytest tests" in said
    assert "python -m tools.kind delete" in said


@pytest.mark.parametrize("program", ["", "bash"])
def test_a_process_that_is_not_the_container_is_not_taken_for_a_place_outside(tmp_path: Path, program: str) -> None:
    shell = Recorder(programs=[program])
    with pytest.raises(SessionError, match="the engine has to run on this machine"):
        session(shell, tmp_path).run(TESTS)
    assert not [command for command in shell.asked if command[:3] == ["ip", "netns", "attach"]]
    assert shell.asked[-len(away(tmp_path)) :] == away(tmp_path)


def test_a_container_that_is_still_being_started_is_waited_for(tmp_path: Path) -> None:
    shell = Recorder(programs=["runc:[2:INIT]", "sleep"])
    assert session(shell, tmp_path).run(TESTS) == 0
    assert TESTS in shell.asked


@pytest.mark.parametrize("pid", ["0", "", "Error: no such object"])
def test_a_container_that_has_ended_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: str
) -> None:
    monkeypatch.setitem(PIDS, "internet", pid)
    with pytest.raises(SessionError, match="container wireguard-operator-e2e-internet does not run"):
        session(Recorder(), tmp_path).run(TESTS)


def test_the_real_shell_hands_on_output_variables_exit_codes_and_names_of_processes() -> None:
    machine = Machine()
    assert machine.run(["sh", "-c", "echo $KIND_EXPERIMENTAL_PROVIDER"], "asking") == "docker\n"
    machine.attempt(["false"])
    assert machine.call(["sh", "-c", 'exit "$WANTED"'], {"WANTED": "5"}) == 5
    assert machine.program(1) != ""
    assert machine.program(2**22 + 1) == ""  # above the highest pid that Linux gives


def test_without_a_docker_command_the_error_says_what_to_install_and_what_else_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command_line.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: make kind-e2e needs a Docker engine: there is no docker command on PATH.")
    assert "https://docs.docker.com/engine/install/" in said and "make node" in said


@pytest.mark.parametrize("trouble", ["Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", ""])
def test_without_an_engine_behind_the_command_the_error_says_what_docker_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trouble: str
) -> None:
    docker(tmp_path, f"echo '{trouble}' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert command_line.main(["delete"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: make kind-e2e needs a Docker engine: docker says ")
    assert (trouble or "exit code 1") in said and "make node" in said


def test_an_engine_that_answers_is_known_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tmp_path, '[ "$*" = "version --format {{.Server.Version}}" ] && echo 28.5.1')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert require_engine() == "28.5.1"
    docker(tmp_path, "true")
    with pytest.raises(EngineError):
        require_engine()


def docker(folder: Path, script: str) -> None:
    """Put a docker command there that does only this."""
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
