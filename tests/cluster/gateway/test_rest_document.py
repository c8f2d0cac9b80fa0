"""The examples of docs/rest.md, run one after the other in one shell against a real gateway."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from gateway_client import Provider

from tools.controlplane import find_or_build

DOCUMENT = Path(__file__).parents[3] / "docs" / "rest.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOOLS = ("curl", "jq", "openssl", "wg")


@dataclass
class Example:
    """A command, as a shell reads it, and what the document says that it prints."""

    command: str
    output: str = ""


def examples(text: str) -> list[Example]:
    """All examples: ``$`` begins a command, ``>`` goes on with it, all else is its output."""
    found: list[Example] = []
    for block in BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Example(line[2:]))
            elif line.startswith("> ") and not found[-1].output:
                found[-1].command += "\n" + line[2:]
            else:
                found[-1].output += line + "\n"
    return found


@pytest.fixture(scope="module")
def shell(gateway: Provider, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder, and an environment in which the document's names mean this gateway."""
    folder = tmp_path_factory.mktemp("rest")
    tools = folder / "bin"
    tools.mkdir()
    (tools / "kubectl").symlink_to(find_or_build("kubectl"))
    environment = gateway.lab.plane.kubectl_environment() | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "KUBECONFIG": str(gateway.lab.plane.kubeconfig),
        "GATEWAY": gateway.process.url,
        "TENANT": gateway.tenant,
    }
    return folder, environment


def test_every_example_prints_what_the_document_says(shell: tuple[Path, dict[str, str]]) -> None:
    folder, environment = shell
    assert [tool for tool in TOOLS if shutil.which(tool) is None] == [], "tools/setup.sh cluster installs them"
    wanted = examples(DOCUMENT.read_text())
    assert len(wanted) > 30
    commands = "".join(f"exec >{index}.out 2>&1\n{example.command}\n" for index, example in enumerate(wanted))
    (folder / "script").write_text("set -eu -o pipefail\n" + commands)
    done = subprocess.run(["bash", "script"], cwd=folder, env=environment, timeout=240, check=False)
    printed = [folder / f"{index}.out" for index in range(len(wanted))]
    last = max(index for index, path in enumerate(printed) if path.exists())
    assert done.returncode == 0, f"{wanted[last].command}\n{printed[last].read_text()}"
    told = {example.command: example.output.rstrip("\n") for example in wanted}
    assert {
        example.command: path.read_text().rstrip("\n") for example, path in zip(wanted, printed, strict=True)
    } == told
