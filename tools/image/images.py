"""The images: the operator's, its base, and the pause image that holds a pod's namespaces.

The base's name carries a hash of how it is made, so it is made again when that changes, and not because time passes:
a build in a test wants the same ground every day. Delete the cache folder for newer packages.
"""

import hashlib
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.controlplane.locks import file_lock
from tools.controlplane.paths import REPOSITORY
from tools.image import settings, storage
from tools.image.inputs import copy_inputs, image_key
from tools.progress import run

OPERATOR_IMAGE = "localhost/wireguard-operator:dev"
PAUSE_IMAGE = "localhost/pause:dev"
RELEASE = "trixie"
_KEPT_ARCHIVES = 3

# As in Debian's own slim image: no documentation but the licences.
_BASE_OPTIONS = (
    "--variant=minbase",
    "--include=ca-certificates",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    '--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"',
)
_BASE_DOCKERFILE = 'FROM scratch\nADD base.tar /\nCMD ["bash"]\n'
# catatonit is a static init; with -P it sleeps and reaps.
_PAUSE_DOCKERFILE = 'FROM scratch\nCOPY catatonit /pause\nENTRYPOINT ["/pause", "-P"]\n'


def operator_archive() -> Path:
    """Return the docker-archive of the operator's image for this checkout as it is, building it if need be.

    It is built from a copy of its inputs: somebody may save a file while the build runs, and what is kept under a
    hash has to be what was hashed.
    """
    base = f"localhost/debian:{RELEASE}-{_digest(_BASE_OPTIONS)}"
    archive = _operator_archive(image_key(REPOSITORY, [base]))
    with _lock():
        if not archive.exists():
            storage.require("buildah", "mmdebstrap")
            _make_base(base)
            with TemporaryDirectory(dir=storage.image_cache(), prefix=".context-") as folder:
                copy_inputs(REPOSITORY, Path(folder))
                archive = _operator_archive(image_key(Path(folder), [base]))
                _make_operator(base, Path(folder))
                storage.save(OPERATOR_IMAGE, archive, OPERATOR_IMAGE)
            _forget_old("wireguard-operator-*.tar")
        archive.touch()  # this one is in use: it is the last to be forgotten
    return archive


def pause_archive() -> Path:
    """Return the docker-archive of the pause image."""
    archive = storage.image_cache() / f"pause-{_digest([_PAUSE_DOCKERFILE])}.tar"
    with _lock():
        if not archive.exists():
            storage.require("buildah", "catatonit")
            with _context(_PAUSE_DOCKERFILE) as folder:
                shutil.copy2(shutil.which("catatonit") or "", Path(folder) / "catatonit")
                storage.build(PAUSE_IMAGE, Path(folder) / "Dockerfile", Path(folder), f"building {PAUSE_IMAGE}")
            storage.save(PAUSE_IMAGE, archive, PAUSE_IMAGE)
    return archive


def _make_base(name: str) -> None:
    if storage.has_image(name):
        return
    with _context(_BASE_DOCKERFILE) as folder:
        options = [*_BASE_OPTIONS, *(f"--aptopt={line}" for line in settings.apt_options())]
        command = ["mmdebstrap", "--quiet", *options, RELEASE, "base.tar"]
        run(command, f"making a Debian {RELEASE} base (first time only, less than 1 min)", Path(folder), niceness=5)
        storage.build(name, Path(folder) / "Dockerfile", Path(folder), f"storing {name}")


def _make_operator(base: str, context: Path) -> None:
    with TemporaryDirectory(prefix="wireguard-operator-settings-") as folder:
        options = [f"--build-arg=BASE={base}", *settings.secrets(Path(folder))]
        what = f"building {OPERATOR_IMAGE} (the first time about 2 min, then seconds)"
        storage.build(OPERATOR_IMAGE, context / "images" / "Dockerfile", context, what, options)


def _operator_archive(key: str) -> Path:
    return storage.image_cache() / f"wireguard-operator-{key}.tar"


def _context(dockerfile: str) -> "TemporaryDirectory[str]":
    """Make a build context with a Dockerfile; on the cache's disk, as a base is too big for some temp dirs."""
    folder = TemporaryDirectory(dir=storage.image_cache(), prefix=".context-")
    (Path(folder.name) / "Dockerfile").write_text(dockerfile)
    return folder


def _forget_old(pattern: str) -> None:
    found = sorted(storage.image_cache().glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[_KEPT_ARCHIVES:]:
        path.unlink()


def _digest(texts: list[str] | tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]


def _lock() -> AbstractContextManager[None]:
    return file_lock(storage.image_cache() / ".lock", "it builds an image")
