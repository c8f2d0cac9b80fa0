"""Which module speaks to the system that a server names, and what it logs in with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.data_plane import DataPlane
from ..domain.keys import Hidden
from ..domain.secrets import read
from .contract import ForeignSystem
from .errors import NoCredentials
from .web import Credentials
from .wg_easy import WGEasy


def system_url(plane: DataPlane) -> str | None:
    """Where the system's API is; None: the data plane is the operator's own."""
    settings = plane.wg_easy or plane.firezone
    return settings.url.rstrip("/") if settings is not None else None


def credentials_of(plane: DataPlane, secret: Mapping[str, Any]) -> Credentials:
    """What the Secret says. Raises NoCredentials, with the name of what is missing."""
    needed = ("username", "password") if plane.wg_easy is not None else ("token",)
    found = {name: (read(secret, name) or "").strip() for name in needed}
    missing = [name for name, value in found.items() if not value]
    if missing:
        name = secret["metadata"]["name"]
        raise NoCredentials(f"Secret {name} has no {' and no '.join(missing)}, which the operator logs in with")
    authority = (read(secret, "ca.crt") or "").strip() or None
    return Credentials(
        found.get("username", ""), Hidden(found.get("password", "")), Hidden(found.get("token", "")), authority
    )


async def connect(plane: DataPlane, owner: str, credentials: Credentials) -> ForeignSystem:
    """The system. ``owner``: what is there for the server as a whole is called by it. Raises SystemError."""
    if plane.wg_easy is not None:
        return WGEasy(plane.wg_easy.url, credentials)
    raise ValueError("the data plane is the operator's own")
