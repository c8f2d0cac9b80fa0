"""The commands ``config`` and ``qr``, before an API server that answers only what they may ask."""

import argparse
import fcntl
import json
import os
import stat
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.client_configs import PEER_PRIVATE, Settings, settings, too_long_settings
from wireguard_operator.api.peer import WireGuardPeer
from wireguard_operator.cli import client
from wireguard_operator.domain import qr, secrets
from wireguard_operator.domain.key_ring import DEVICE, GENERATED, KeyRing

SECRET = "/api/v1/namespaces/isp/secrets/alice-wireguard"
PEER = "/apis/wireguard.dotmac.io/v1alpha1/namespaces/isp/wireguardpeers/alice"
CONFIG = settings().text


@dataclass
class Server:
    """What is asked of it and what it answers; 404 for the rest."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    kubeconfig: Path = Path()

    def keep(self, asked: Settings) -> None:
        """The peer's Secret, as the operator makes it."""
        source = GENERATED if asked.keys.private else DEVICE
        data = secrets.peer_data(KeyRing(asked.keys, source=source), asked.text)
        self.objects[SECRET] = secrets.build(
            WireGuardPeer.model_validate(peer()), "WireGuardPeer", "alice-wireguard", data
        )


def peer(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "wireguard.dotmac.io/v1alpha1",
        "kind": "WireGuardPeer",
        "metadata": {"name": "alice", "namespace": "isp", "uid": "u"},
        "spec": {"serverRef": {"name": "berlin"}},
        "status": status,
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(kubeconfig=tmp_path / "kubeconfig")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            found = server.objects.get(self.path)
            missing = {"kind": "Status", "reason": "NotFound", "message": f"{self.path} not found"}
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        server.kubeconfig.write_text(kubeconfig(f"http://127.0.0.1:{http.server_port}"))
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def kubeconfig(url: str) -> str:
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    clusters, users = [{"name": "c", "cluster": {"server": url}}], [{"name": "u", "user": {}}]
    return json.dumps({"clusters": clusters, "users": users, "contexts": [context], "current-context": "c"})


@dataclass(frozen=True)
class Outcome:
    code: int
    out: bytes
    error: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(server: Server, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command for peer alice."""

    def run(command: str, *arguments: str) -> Outcome:
        parser = argparse.ArgumentParser()
        {"config": client.add_config, "qr": client.add_qr}[command](parser)
        args = parser.parse_args(["alice", "-n", "isp", "--kubeconfig", str(server.kubeconfig), *arguments])
        code = args.run(args)
        sys.stdout.flush()
        sys.stderr.flush()
        captured = capfdbinary.readouterr()
        return Outcome(code, captured.out, captured.err.decode())

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], "Terminal"]]:
    """Make stdout a real terminal of so many columns."""
    opened: list[Terminal] = []

    def terminal(columns: int) -> Terminal:
        main, side = os.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 200, columns, 0, 0))
        made = Terminal(main, os.fdopen(side, "w", encoding="utf-8"))
        opened.append(made)
        monkeypatch.setattr(sys, "stdout", made.side)
        return made

    yield terminal
    monkeypatch.undo()
    for made in opened:
        made.side.close()
        os.close(made.main)


@dataclass
class Terminal:
    main: int
    side: Any

    def shows(self) -> str:
        """What was written so far."""
        os.set_blocking(self.main, False)
        data = b""
        while True:
            try:
                data += os.read(self.main, 65536)
            except BlockingIOError:
                return data.decode().replace("\r\n", "\n")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_config_prints_wg0_conf_as_it_stands_in_the_secret_and_asks_for_nothing_else(run: Run, server: Server) -> None:
    server.keep(settings())
    assert run("config") == Outcome(0, CONFIG.encode(), "")
    assert server.asked == [SECRET]


def test_config_of_a_device_held_key_is_printed_with_its_comment(run: Run, server: Server) -> None:
    held = settings(device_held=True)
    server.keep(held)
    assert "# PrivateKey" in held.text
    assert run("config") == Outcome(0, held.text.encode(), "")


@pytest.mark.parametrize("arguments", [(), ("--format", "png"), ("--format", "svg"), ("-o", "code.png")])
def test_qr_refuses_a_device_held_key_and_says_what_to_do(run: Run, server: Server, arguments: tuple[str, ...]) -> None:
    server.keep(settings(device_held=True))
    done = run("qr", *arguments)
    assert (done.code, done.out) == (1, b"")
    assert "isp/alice keeps its private key" in done.error and "wireguard-operator config alice -n isp" in done.error
    assert not Path("code.png").exists()


@pytest.mark.parametrize(
    ("arguments", "drawn"),
    [
        ((), qr.text(CONFIG).encode()),
        (("--format", "text"), qr.text(CONFIG).encode()),
        (("--format", "png"), qr.png(CONFIG)),
        (("--format", "svg"), qr.svg(CONFIG)),
    ],
)
def test_qr_writes_every_format_into_a_pipe(run: Run, server: Server, arguments: tuple[str, ...], drawn: bytes) -> None:
    server.keep(settings())
    assert run("qr", *arguments) == Outcome(0, drawn, "")


@pytest.mark.parametrize(
    ("name", "arguments", "drawn"),
    [
        ("code.png", (), qr.png(CONFIG)),
        ("CODE.PNG", (), qr.png(CONFIG)),
        ("code.svg", (), qr.svg(CONFIG)),
        ("code.txt", (), qr.text(CONFIG).encode()),
        ("code", (), qr.text(CONFIG).encode()),
        ("code.txt", ("--format", "png"), qr.png(CONFIG)),
        ("code.png", ("--format", "text"), qr.text(CONFIG).encode()),
    ],
)
def test_a_file_has_the_format_of_its_ending_unless_told_otherwise(
    run: Run, server: Server, tmp_path: Path, name: str, arguments: tuple[str, ...], drawn: bytes
) -> None:
    server.keep(settings())
    assert run("qr", "-o", str(tmp_path / name), *arguments) == Outcome(0, b"", "")
    assert (tmp_path / name).read_bytes() == drawn


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(("command", "name"), [("config", "wg0.conf"), ("qr", "code.txt"), ("qr", "code.png")])
def test_files_are_readable_by_their_owner_alone(
    run: Run, server: Server, tmp_path: Path, command: str, name: str, umask: int
) -> None:
    server.keep(settings())
    before = os.umask(umask)
    try:
        assert run(command, "-o", str(tmp_path / name)).code == 0
    finally:
        os.umask(before)
    assert mode_of(tmp_path / name) == 0o600


def test_an_older_file_that_others_may_read_is_closed_to_them_and_replaced_whole(
    run: Run, server: Server, tmp_path: Path
) -> None:
    server.keep(settings())
    path = tmp_path / "wg0.conf"
    path.write_text("x" * 5000)
    path.chmod(0o644)
    assert run("config", "-o", str(path)).code == 0
    assert (mode_of(path), path.read_text()) == (0o600, CONFIG)


def test_a_file_that_cannot_be_written_is_named(run: Run, server: Server, tmp_path: Path) -> None:
    server.keep(settings())
    path = tmp_path / "missing" / "wg0.conf"
    assert run("config", "-o", str(path)) == Outcome(1, b"", f"error: cannot write {path}: No such file or directory\n")


@pytest.mark.parametrize("form", ["png", "svg"])
def test_pictures_do_not_go_to_a_terminal(
    run: Run, server: Server, terminal: Callable[[int], Terminal], form: str
) -> None:
    server.keep(settings())
    screen = terminal(200)
    done = run("qr", "--format", form)
    assert (done.code, screen.shows()) == (1, "")
    assert f"-o alice.{form}" in done.error
    assert server.asked == []


def test_a_picture_goes_to_a_file_from_a_terminal_too(
    run: Run, server: Server, terminal: Callable[[int], Terminal], tmp_path: Path
) -> None:
    server.keep(settings())
    screen = terminal(20)
    assert run("qr", "--format", "png", "-o", str(tmp_path / "code")).code == 0
    assert ((tmp_path / "code").read_bytes(), screen.shows()) == (qr.png(CONFIG), "")


def test_text_goes_to_a_terminal_that_is_just_wide_enough(
    run: Run, server: Server, terminal: Callable[[int], Terminal]
) -> None:
    server.keep(settings())
    drawn = qr.text(CONFIG)
    screen = terminal(len(drawn.splitlines()[0]))
    assert run("qr").code == 0
    assert screen.shows() == drawn


def test_text_is_refused_when_its_lines_would_wrap(
    run: Run, server: Server, terminal: Callable[[int], Terminal]
) -> None:
    server.keep(settings())
    width = len(qr.text(CONFIG).splitlines()[0])
    screen = terminal(width - 1)
    done = run("qr")
    assert (done.code, screen.shows()) == (1, "")
    assert f"{width} characters wide and the terminal {width - 1}" in done.error


def test_a_terminal_that_does_not_know_its_width_is_trusted(
    run: Run, server: Server, terminal: Callable[[int], Terminal]
) -> None:
    server.keep(settings())
    screen = terminal(0)
    assert run("qr").code == 0
    assert screen.shows() == qr.text(CONFIG)


def test_config_goes_to_a_terminal(run: Run, server: Server, terminal: Callable[[int], Terminal]) -> None:
    server.keep(settings())
    screen = terminal(20)
    assert run("config").code == 0
    assert screen.shows() == CONFIG


def test_a_configuration_that_is_too_long_for_a_qr_code_says_what_to_shorten_and_what_works(
    run: Run, server: Server
) -> None:
    server.keep(too_long_settings())
    done = run("qr", "--format", "png")
    assert (done.code, done.out) == (1, b"")
    for part in (f"{len(too_long_settings().text)} bytes", "2953", "client.allowedIPs", "`wireguard-operator config`"):
        assert part in done.error
    assert "Traceback" not in done.error and PEER_PRIVATE not in done.error


READY = {"type": "Ready", "status": "False", "reason": "PoolExhausted", "message": "no address is free in 10.8.0.0/24"}


@pytest.mark.parametrize("command", ["config", "qr"])
@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ({}, "there is no WireGuardPeer isp/alice; see kubectl get wgp -n isp"),
        ({PEER: peer()}, "WireGuardPeer isp/alice has no configuration yet; the operator makes it: is it running?"),
        (
            {PEER: peer(conditions=[{"type": "Accepted"}, READY])},
            "WireGuardPeer isp/alice has no configuration yet: PoolExhausted: no address is free in 10.8.0.0/24",
        ),
        (
            {PEER: peer(conditions=[READY | {"message": ""}]), SECRET: {"kind": "Secret"}},
            "WireGuardPeer isp/alice has no configuration yet: PoolExhausted",
        ),
    ],
)
def test_a_configuration_that_is_not_there_is_explained(
    run: Run, server: Server, command: str, objects: dict[str, dict[str, Any]], said: str
) -> None:
    server.objects |= objects
    assert run(command) == Outcome(1, b"", f"error: {said}\n")


def test_a_kubeconfig_that_is_no_use_is_told_in_one_sentence(run: Run, server: Server) -> None:
    for content in ("", "{}", "[]", "kind: Config\nclusters: []\n", "a: ["):
        server.kubeconfig.write_text(content)
        done = run("config")
        assert done.code == 1 and done.error.startswith("error: no usable kubeconfig: ") and done.error.count("\n") == 1
    server.kubeconfig.unlink()
    assert run("config").error.startswith("error: no usable kubeconfig: ")


def test_an_api_server_that_does_not_answer_is_told_in_one_sentence(run: Run, server: Server) -> None:
    server.kubeconfig.write_text(kubeconfig("http://127.0.0.1:1"))
    done = run("qr")
    assert done.code == 1 and done.error.startswith("error: GET /api/v1/") and done.error.count("\n") == 1


def test_bytes_reach_a_pipe_whatever_the_locale(server: Server) -> None:
    server.keep(settings())
    code = (
        "import argparse, sys; from wireguard_operator.cli import client;"
        " parser = argparse.ArgumentParser(); client.add_qr(parser);"
        " args = parser.parse_args(sys.argv[1:]); sys.exit(args.run(args))"
    )
    command = [sys.executable, "-c", code, "alice", "-n", "isp", "--kubeconfig", str(server.kubeconfig)]
    env = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=env)
    assert (done.returncode, done.stdout) == (0, qr.text(CONFIG).encode())
