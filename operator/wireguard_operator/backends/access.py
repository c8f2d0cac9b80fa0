"""Which module speaks to the system that a server names, and what it logs in with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.data_plane import DataPlane, FirezoneEdition
from ..domain.keys import Hidden
from ..domain.secrets import read
from .contract import ForeignSystem
from .errors import NoCredentials, Unsuitable
from .firezone import ACTORS, Firezone
from .firezone_legacy import CONFIGURATION, FirezoneLegacy
from .web import Credentials, Web
from .wg_easy import WGEasy

_PATHS = {FirezoneEdition.LEGACY: CONFIGURATION, FirezoneEdition.CURRENT: ACTORS}


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


async def connect(plane: DataPlane, credentials: Credentials) -> ForeignSystem:
    """The system. Raises SystemError."""
    if plane.wg_easy is not None:
        return WGEasy(plane.wg_easy.url, credentials)
    settings = plane.firezone
    if settings is None:
        raise ValueError("the data plane is the operator's own")
    edition = settings.edition
    if edition is FirezoneEdition.AUTO:
        edition = await _edition(settings.url, credentials)
    if edition is FirezoneEdition.LEGACY:
        return FirezoneLegacy(settings.url, credentials)
    return Firezone(settings.url, credentials, settings.group)


async def _edition(url: str, credentials: Credentials) -> FirezoneEdition:
    """Each edition has a path that the other does not have."""
    web = Web(url, credentials.authority, credentials.token)
    try:
        answers = {edition: await web.read(path) for edition, path in _PATHS.items()}
    finally:
        await web.close()
    for statuses in ((200,), (401, 403)):
        for edition, answer in answers.items():
            if answer.status in statuses:
                return edition
    raise Unsuitable(
        f"{url} answers neither as Firezone 0.7 nor as 1.x does; spec.dataPlane.firezone.url must name its API"
    )
