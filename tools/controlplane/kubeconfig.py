"""A kubeconfig in one self-contained file.

Certificates are embedded, so that the file can be copied or mounted. Only files inside a plane's directory
are written: `~/.kube/config` and KUBECONFIG may lead to somebody's production cluster.
"""

import base64
import os
from pathlib import Path
from typing import Any

import yaml

from tools.controlplane.pki import KeyPair

CONTEXT = "wireguard-operator-dev"


def write_kubeconfig(path: Path, server: str, authority: Path, user: str, credentials: KeyPair) -> Path:
    """Write a kubeconfig for one user with a client certificate; readable by its owner only."""
    content = document(
        server, authority.read_bytes(), user, credentials.certificate.read_bytes(), credentials.key.read_bytes()
    )
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(content, file, sort_keys=False)
    return scratch.replace(path)


def document(server: str, authority: bytes, user: str, certificate: bytes, key: bytes) -> dict[str, Any]:
    """Return the content of a kubeconfig."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": _encoded(authority)}}
        ],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)},
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
        "current-context": CONTEXT,
    }


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
