"""buildah with a storage of our own in the cache: other images of this machine are neither seen nor touched."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.controlplane.paths import cache_root, private_directory, runtime_root
from tools.progress import CommandError as ImageError
from tools.progress import run


def image_cache() -> Path:
    """Return the folder of archives and layers."""
    return cache_root().parent / "image"


def require(*commands: str) -> None:
    """Say what is missing before a build fails half-way."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        raise ImageError(f"not installed: {', '.join(missing)}; run: tools/setup.sh image")


def has_image(name: str) -> bool:
    """Whether the storage has an image of this name."""
    command = _buildah("inspect", "--type", "image", name)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def build(name: str, dockerfile: Path, context: Path, what: str, options: Sequence[str] = ()) -> None:
    """Build an image; steps that were done before come from the storage."""
    command = _buildah(
        "build", "--isolation=chroot", "--layers", "--pull=never", *options, "-f", str(dockerfile), "-t", name, "."
    )
    run(command, what, context, niceness=5)


def save(name: str, archive: Path, image: str) -> None:
    """Write an image as a docker-archive under the name `image`; the file is there whole or not at all."""
    scratch = archive.with_name(f".{archive.name}")
    scratch.unlink(missing_ok=True)
    try:
        run(_buildah("push", "-q", name, f"docker-archive:{scratch}:{image}"), f"writing {image}", archive.parent)
        scratch.replace(archive)
    finally:
        scratch.unlink(missing_ok=True)


def _buildah(*arguments: str) -> list[str]:
    run_root = private_directory(runtime_root()) / "buildah"
    storage = image_cache() / "storage"
    return ["buildah", f"--root={storage}", f"--runroot={run_root}", "--storage-driver=overlay", *arguments]
