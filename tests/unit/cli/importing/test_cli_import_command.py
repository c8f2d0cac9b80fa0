"""What is shown, written and made, and that keys go where they were asked for and nowhere else."""

import argparse
import base64
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from import_cluster import Cluster

from wireguard_operator.cli.importing import command
from wireguard_operator.domain import secrets
from wireguard_operator.domain.keys import generate_pair
from wireguard_operator.kube.errors import Unavailable

SERVER, ALICE = generate_pair(), generate_pair()
KEYS = {SERVER.private.reveal(), base64.b64encode(SERVER.private.reveal().encode()).decode()}
CONFIG = f"""[Interface]
Address = 10.8.0.1/24
MTU = 1420
ListenPort = 51820
PrivateKey = {SERVER.private.reveal()}

# alice
[Peer]
PublicKey = {ALICE.public}
AllowedIPs = 10.8.0.2/32
"""
Run = Callable[..., int]


def call(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_import(parser)
    args = parser.parse_args(list(arguments))
    code: int = args.run(args)
    return code


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``import wg-quick`` of a server with one peer."""
    (tmp_path / "wg0.conf").write_text(CONFIG)
    base = ["wg-quick", str(tmp_path / "wg0.conf"), "--server", "berlin", "--endpoint", "vpn.example.net", "--dial"]

    return lambda *options: call(*base, "-n", "isp", *options)


def test_by_itself_it_shows_the_objects_and_no_key(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    said = capsys.readouterr()
    secret, alice, server = yaml.safe_load_all(said.out)
    assert secret["data"] == {"privateKey": "<hidden>"}
    assert alice["metadata"]["name"] == "alice"
    assert server["spec"]["dataPlane"] == {"type": "Host", "host": {"dial": True}}
    assert said.err.startswith("1 server, 1 peer, 1 Secret; nothing was made in the cluster: add --apply")
    assert not [key for key in KEYS if key in said.out + said.err]


def test_a_file_has_the_keys_and_nobody_else_may_read_it(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.yaml"
    path.touch(mode=0o644)
    assert run("-o", str(path)) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    secret, _, _ = yaml.safe_load_all(path.read_text())
    assert secrets.read(secret, "privateKey") == SERVER.private.reveal()
    said = capsys.readouterr()
    assert said.err == "1 server, 1 peer, 1 Secret; nothing was made in the cluster\n" and not said.out


def test_a_pipe_gets_the_keys_when_it_is_asked_for_and_a_terminal_does_not(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("-o", "-") == 0
    secret, _, _ = yaml.safe_load_all(capsys.readouterr().out)
    assert secrets.read(secret, "privateKey") == SERVER.private.reveal()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run("-o", "-") == 1
    said = capsys.readouterr()
    assert "name a file instead" in said.err and not said.out


def test_what_is_applied_is_there_already_the_second_time_and_a_difference_is_told(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster()
    cluster.serve(monkeypatch)
    assert run("--apply") == 0
    assert capsys.readouterr().err == "made 1 server, 1 peer, 1 Secret; there already: 0\n"
    assert run("--apply") == 0
    assert capsys.readouterr().err == "made 0 servers, 0 peers, 0 Secrets; there already: 3\n"
    cluster.objects["WireGuardPeer", "alice"]["spec"]["addresses"] = ["10.8.0.9"]
    assert run("--apply") == 1
    said = capsys.readouterr()
    assert not said.out and said.err.splitlines() == [
        "left as it is: WireGuardPeer alice is there with another spec.addresses",
        "made 0 servers, 0 peers, 0 Secrets; there already: 2",
        "error: not there as it should be: 1 of 3 objects; correct what is said above and try again",
    ]


def test_a_file_that_was_written_is_made_elsewhere(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, path = Cluster(), tmp_path / "berlin.yaml"
    cluster.serve(monkeypatch)
    assert run("-o", str(path)) == 0
    assert call("file", str(path), "--apply") == 0
    assert "made 1 server, 1 peer, 1 Secret; there already: 0" in capsys.readouterr().err
    assert run("--apply") == 0, "and is what the source says"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Pod\nmetadata: {name: a, namespace: b}\nspec: {}", "object 1 is not one that"),
        ("- 1", "object 1 is not one that"),
        ("a: [hunter2", "no YAML"),
        (
            "kind: Secret\nmetadata: {name: a, namespace: b}\ndata: {privateKey: <hidden>}",
            "was shown with its keys hidden",
        ),
    ],
)
def test_a_file_that_is_another_is_not_quoted(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.yaml").write_text(text)
    assert call("file", str(tmp_path / "other.yaml"), "--apply") == 1
    said = capsys.readouterr().err
    assert words in said and "hunter2" not in said


def test_an_api_server_that_does_not_answer_is_told(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster()
    cluster.serve(monkeypatch)

    def before(_: tuple[str, str]) -> None:
        raise Unavailable("POST /api: no answer")

    cluster.before = before
    assert run("--apply") == 1
    error = capsys.readouterr().err
    assert "failed: Secret berlin-import: POST /api: no answer" in error
    assert error.endswith("error: the API server does not answer; not tried: 2 of 3 objects; try again later\n")


def test_a_file_and_the_cluster_are_not_both_asked_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("--apply", "-o", "-")
    assert "not allowed with" in capsys.readouterr().err


def test_a_network_that_is_none_is_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--network", "10.8.0.5/24") == 1
    assert "--network 10.8.0.5/24: 10.8.0.5/24 has host bits set" in capsys.readouterr().err
