"""Where things live: the checkout, the cache that survives, the run-time state that does not.

Built binaries are worth minutes, so they go to the user's cache and are shared by all checkouts. Running
planes belong to one checkout: two clones on one machine must not stop each other's plane, therefore the
run-time folder carries the user id and a hash of the checkout's path. The temp dir is open to everyone, so
a folder there is used only when it is really ours.
"""

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def cache_root() -> Path:
    """Return the folder for what is costly to make again."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "wireguard-operator" / "bin"


def runtime_root(repository: Path = REPOSITORY) -> Path:
    """Return the folder for running planes of this user and this checkout; it is not created."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    digest = hashlib.sha256(os.fsencode(repository)).hexdigest()[:10]
    return Path(base) / f"wireguard-operator-{os.getuid()}-{digest}"


def default_plane_dir() -> Path:
    """Return the state directory that the command line uses when none is named."""
    return runtime_root() / "dev"


def private_directory(path: Path) -> Path:
    """Make `path` (mode 0700) or check that it is a real directory of this user.

    Refusing a directory of somebody else matters in a shared temp dir, where its name can be guessed:
    whoever owned it could exchange the kubeconfig and collect what is sent to the "API server".
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{path} is not a directory of user {os.getuid()}; remove it or name another one")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def say(message: str) -> None:
    """Tell the person at the terminal what goes on; stdout stays free for results."""
    print(message, file=sys.stderr, flush=True)
