"""Private keys are in Secrets and on the device, nowhere else."""

import base64
import json
from pathlib import Path

from isp import apply_peer, patch, reason

from tools.lab import Lab, wait_for
from wireguard_operator.domain.keys import generate_pair

KINDS = "wgs,wgp,wgab,events,configmaps,leases"


def private_values(lab: Lab) -> dict[str, str]:
    """Everything in Secrets that nobody else may know, by where it stands."""
    found = {}
    for secret in json.loads(lab.kubectl("get", "secrets", "-o", "json"))["items"]:
        for field in ("privateKey", "presharedKey", "previousPresharedKey", "tls.key"):
            if field in secret.get("data", {}):
                value = base64.b64decode(secret["data"][field]).decode()
                # Of a PEM file any line of the key itself will do.
                found[f"{secret['metadata']['name']}/{field}"] = value.splitlines()[1] if "\n" in value else value
    return found


def test_no_private_key_is_in_any_object_but_secrets_nor_in_any_log_or_command_line(tunnel: Lab) -> None:
    # Trouble makes processes talkative: a stranger's Secret in the way, a key that is none, and a dead agent.
    tunnel.kubectl("create", "secret", "generic", "bob-wireguard", "--from-literal=privateKey=x")
    apply_peer(tunnel, "bob")
    good, bad = generate_pair().private.reveal(), "a password in the wrong place 1234567890"
    tunnel.kubectl("create", "secret", "generic", "imports", f"--from-literal=privateKey={good}",
                   f"--from-literal=presharedKey={bad}")  # fmt: skip
    apply_peer(tunnel, "carol", privateKeySecretRef={"name": "imports"})
    apply_peer(tunnel, "dave", privateKeySecretRef={"name": "imports", "key": "presharedKey"})
    wait_for("bob's trouble", lambda: reason(tunnel, "bob") == "SecretConflict")
    wait_for("dave's trouble", lambda: reason(tunnel, "dave") == "KeyInvalid")
    tunnel.wait_ready("wgp", "carol")
    # A rotation leaves two keys in the Secret.
    patch(tunnel, "wgp", "alice", keyGeneration=1)
    wait_for("the rotation", lambda: reason(tunnel, "alice", "KeysReady") == "KeysRotating")
    tunnel.host.agent.end(kill=True)
    tunnel.kubectl("patch", "wgp", "alice", "--type=merge", "-p", '{"spec":{"enabled":false}}')
    wait_for(
        "the controller to notice", lambda: "AgentUnreachable" in tunnel.kubectl("get", "wgs", "berlin", "-o", "yaml")
    )
    secrets = private_values(tunnel)
    assert {"alice-wireguard/privateKey", "alice-wireguard/previousPresharedKey", "imports/presharedKey",
            "alice-wireguard/presharedKey", "berlin-wireguard-server/privateKey",
            "berlin-agent-tls/tls.key", "wireguard-operator-ca/tls.key"} <= secrets.keys()  # fmt: skip
    places = {
        "objects": tunnel.kubectl("get", KINDS, "-o", "yaml", "--show-managed-fields"),
        "controller log": tunnel.controller.log.read_text(),
        "agent log": tunnel.host.agent.log.read_text(),
        "command lines": " ".join(_command_lines()),
    }
    assert "KeysRotated" in places["objects"], "events are among them"
    assert "alice" in places["objects"] and "berlin" in places["controller log"] and places["agent log"]
    for where, text in places.items():
        leaked = [name for name, value in secrets.items() if len(value) > 8 and value in text]
        assert not leaked, f"{leaked} in {where}"


def _command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines
