"""This machine's way to the package indexes, lent to the build and nothing more.

A machine may reach its indexes by a mirror, a proxy or with a certificate authority of its own. The Dockerfile asks for
such settings as build secrets: files that a build step can read and no layer contains. They are asked of the tools
themselves, so it does not matter whether a variable, a user's file or the system's says it.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
_GO = ("GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE")
_APT = ("Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv", "Acquire::http::", "Acquire::https::")


def secrets(directory: Path) -> list[str]:
    """Write the settings into `directory`, which the caller removes, and return buildah's options for them."""
    texts = {
        "pip": pip_conf(_output(sys.executable, "-m", "pip", "config", "list")),
        "go": go_env(_output("go", "env", "-json", *_GO)),
        "apt": "\n".join(apt_options(_output("apt-config", "dump"))),
    }
    paths = {"ca": Path(os.environ.get("SSL_CERT_FILE") or _CERTIFICATES)}
    for name, text in texts.items():
        if text:
            paths[name] = directory / name
            paths[name].write_text(text + "\n")
    return [f"--secret=id={name},src={path}" for name, path in paths.items() if path.exists()]


def apt_options(dump: str | None = None) -> list[str]:
    """Pick from `apt-config dump` what says how to fetch."""
    dump = _output("apt-config", "dump") if dump is None else dump
    return [line for line in dump.splitlines() if line.startswith(_APT) and not line.endswith(' "";')]


def pip_conf(listed: str) -> str:
    """Turn `pip config list` into a pip.conf; variables are listed last and win, as they do in pip."""
    values: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        key = name.rsplit(".", 1)[-1].removeprefix("default-")
        if key in _PIP:
            values[key] = str(ast.literal_eval(value)).replace("\n", "\n    ")
    return "\n".join(["[global]", *(f"{key} = {value}" for key, value in values.items())]) if values else ""


def go_env(listed: str) -> str:
    """Turn `go env -json` into the file that GOENV names."""
    found = json.loads(listed or "{}")
    return "\n".join(f"{key}={value}" for key, value in found.items() if value)


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
