"""A kubeconfig that needs no other file and reveals its key to nobody else."""

import base64
from pathlib import Path

import yaml

from tools.controlplane.kubeconfig import document, write_kubeconfig
from tools.controlplane.pki import KeyPair
from tools.controlplane.plane import ControlPlane

SERVER = "https://127.0.0.1:20003"


def written(folder: Path) -> Path:
    pair = KeyPair(folder / "admin.crt", folder / "admin.key")
    pair.certificate.write_text("certificate")
    pair.key.write_text("key")
    (folder / "ca.crt").write_text("authority")
    return write_kubeconfig(folder / "kubeconfig", SERVER, folder / "ca.crt", "admin", pair)


def test_everything_is_embedded(tmp_path: Path) -> None:
    found = yaml.safe_load(written(tmp_path).read_text())

    assert found == document(SERVER, b"authority", "admin", b"certificate", b"key")
    assert base64.b64decode(found["users"][0]["user"]["client-key-data"]) == b"key"
    assert base64.b64decode(found["clusters"][0]["cluster"]["certificate-authority-data"]) == b"authority"


def test_the_current_context_leads_to_the_server_and_the_user() -> None:
    found = document(SERVER, b"", "somebody", b"", b"")

    (context,) = found["contexts"]
    assert context["name"] == found["current-context"]
    assert context["context"] == {"cluster": found["clusters"][0]["name"], "user": "somebody"}
    assert found["clusters"][0]["cluster"]["server"] == SERVER


def test_only_the_owner_can_read_it_even_when_it_replaces_an_open_one(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").touch(mode=0o644)

    assert written(tmp_path).stat().st_mode & 0o777 == 0o600


def test_no_scratch_file_is_left(tmp_path: Path) -> None:
    written(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"ca.crt", "admin.crt", "admin.key", "kubeconfig"}


def test_kubectl_never_sees_the_kubeconfig_of_the_person(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somebody/production")
    plane = ControlPlane(tmp_path / "plane")

    environment = plane.kubectl_environment()
    assert "KUBECONFIG" not in environment
    assert environment["KUBECACHEDIR"].startswith(str(plane.directory))
