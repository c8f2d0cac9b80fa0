"""Find the kernel of the virtual machine, or fetch it: Debian's package, unpacked into the cache.

Debian keeps only the newest builds of a kernel, so no version can be pinned: the first one that was fetched is kept
until its folder is removed. The `cloud` flavour has virtio and virtiofs built in and needs no initial RAM disk.
"""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.controlplane.locks import file_lock
from tools.controlplane.paths import cache_root
from tools.progress import CommandError, run

META_PACKAGES = ("linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64")
"""Debian 12's name for Linux 6.12, then the one that newer releases have; each depends on the newest build."""


class PackageError(RuntimeError):
    """There is no kernel and none can be fetched; the message says what to do."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package."""

    version: str
    image: Path
    modules: Path
    """What `modprobe -d` takes: holds lib/modules/VERSION."""


def find_or_fetch() -> Kernel:
    """The cached kernel, after fetching it the first time. Raises PackageError."""
    root = cache_root().parent / "kernel"
    if (found := newest(root)) is not None:
        return found
    with file_lock(root / ".lock", "it fetches a kernel"):
        if (found := newest(root)) is not None:
            return found
        try:
            return _fetch(root)
        except CommandError as error:
            raise PackageError(f"no kernel for the virtual machine: {error}") from None


def newest(root: Path) -> Kernel | None:
    """The kernel in the cache that was fetched last."""
    images = sorted(root.glob("[!.]*/boot/vmlinuz-*"), key=lambda path: path.stat().st_mtime)
    return _kernel(images[-1]) if images else None


def build_of(shown: str) -> str | None:
    """The package of the newest build in what `apt-cache show META_PACKAGE` prints."""
    match = re.search(r"^Depends:.*?\b(linux-image-[0-9][^ ,]*-cloud-amd64)\b", shown, re.MULTILINE)
    return match[1] if match else None


def _kernel(image: Path) -> Kernel:
    return Kernel(image.name.removeprefix("vmlinuz-"), image, image.parents[1])


def _fetch(root: Path) -> Kernel:
    if os.uname().machine != "x86_64":
        raise PackageError("the virtual machine is an x86_64 one, and its root is this machine's; use such a machine")
    for command, owner in (("apt-get", "apt"), ("dpkg-deb", "dpkg"), ("depmod", "kmod")):
        if shutil.which(command) is None:
            raise PackageError(f"{command} is needed to fetch a kernel; install {owner} (Debian, Ubuntu)")
    package = _newest_build()
    if package is None:
        run(["apt-get", "update", "-qq"], "asking for the newest packages", root)
        package = _newest_build()
    if package is None:
        raise PackageError(f"no package source has {' or '.join(META_PACKAGES)}; add Debian's, security included")
    # Readable by apt's own user, and on the file system of the cache, so that one rename makes it complete.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as scratch:
        directory = Path(scratch)
        directory.chmod(0o755)
        try:
            run(["apt-get", "download", "-qq", package], f"fetching {package} (first time only, 35 MB)", directory)
        except CommandError:  # the lists are older than the newest build
            run(["apt-get", "update", "-qq"], "asking for the newest packages", root)
            run(["apt-get", "download", "-qq", package], f"fetching {package}", directory)
        (archive,) = directory.glob("*.deb")
        unpacked = directory / "unpacked"
        run(["dpkg-deb", "-x", str(archive), str(unpacked)], "unpacking it", directory)
        if not (unpacked / "lib").exists():
            (unpacked / "lib").symlink_to("usr/lib")
        (image,) = unpacked.glob("boot/vmlinuz-*")
        version = image.name.removeprefix("vmlinuz-")
        run(["depmod", "-b", str(unpacked), version], "listing its modules", directory)
        unpacked.rename(root / version)
    return _kernel(root / version / "boot" / image.name)


def _newest_build() -> str | None:
    for name in META_PACKAGES:
        asked = subprocess.run(["apt-cache", "show", name], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and (found := build_of(asked.stdout)):
            return found
    return None
