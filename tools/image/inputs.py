"""What goes into the image, as a hash: equal inputs, equal image, nothing to build.

The list says the same as `.dockerignore`, and a test holds the two together.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.controlplane.paths import REPOSITORY

SOURCES = (
    "LICENSE",
    "README.md",
    "operator",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements.lock",
    "tools/wireguard-go",
)
RECIPE = ("images/Dockerfile", ".dockerignore")


def image_key(repository: Path = REPOSITORY, extra: Iterable[str] = ()) -> str:
    """Return a short hash over names and contents of all inputs, and whatever else matters (the base)."""
    digest = hashlib.sha256()
    for text in extra:
        digest.update(text.encode() + b"\0")
    for path in _files(repository):
        digest.update(path.relative_to(repository).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def copy_inputs(repository: Path, target: Path) -> None:
    """Copy all inputs, with their times: buildah's cache looks at those, too."""
    for path in _files(repository):
        copy = target / path.relative_to(repository)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def _files(repository: Path) -> Iterator[Path]:
    for name in sorted((*SOURCES, *RECIPE)):
        start = repository / name
        found = sorted(start.rglob("*")) if start.is_dir() else [start]
        yield from (path for path in found if path.is_file() and "__pycache__" not in path.parts)
