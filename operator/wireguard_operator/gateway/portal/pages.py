"""The files of both pages: what is in ``static``, and over it what the provider has put into the folder of its brand.

All are read once, when the gateway starts; a request never reaches a file system. Pages get the strictest content
security policy that they can be written for: everything comes from this origin, and nothing is inline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.responses import Response

STATIC = Path(__file__).parent / "static"
SUBSCRIBER, STAFF = "subscriber.html", "staff.html"
STRINGS = "strings"
ENGLISH = "en"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
BRANDABLE = (".css", ".svg", ".png", ".woff2", ".json")
"""What a brand may bring: looks and words, no scripts and no pages."""

SECURITY = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "font-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NO_STORE = {"Cache-Control": "no-store"}
REVALIDATE = {"Cache-Control": "no-cache"}
"""Kept, and asked about each time: a new version of the gateway is there at once."""


class BrandError(ValueError):
    """The brand's folder cannot be used. The message names the file."""


@dataclass(frozen=True, slots=True)
class File:
    """One file with what identifies its version."""

    content: bytes
    media_type: str
    tag: str


class Pages:
    """All files, in memory."""

    def __init__(self, brand: Path | None = None) -> None:
        """Raises BrandError."""
        self._files = {path.name: _file(path) for path in STATIC.iterdir() if path.suffix in TYPES}
        words = {path.stem: _words(path) for path in (STATIC / STRINGS).glob("*.json")}
        if brand is not None:
            self._add_brand(brand, words)
        complete = words[ENGLISH]
        # What a translation leaves out stands in English: a new version does not wait for its translators.
        self._languages = {
            language: _file_of(json.dumps(complete | some | {"language": language}).encode(), TYPES[".json"])
            for language, some in words.items()
        }

    @property
    def languages(self) -> frozenset[str]:
        """The languages that there are."""
        return frozenset(self._languages)

    def page(self, name: str) -> Response:
        """One of the two pages."""
        file = self._files[name]
        return Response(file.content, headers={**SECURITY, **NO_STORE}, media_type=file.media_type)

    def asset(self, name: str, known: str | None) -> Response | None:
        """A file that the pages ask for; ``known`` is the tag that the browser has."""
        file = self._files.get(name)
        if file is None or name in (SUBSCRIBER, STAFF):
            return None
        return _answer(file, known)

    def strings(self, accepted: str, known: str | None) -> Response:
        """The words in the best language for the header Accept-Language."""
        response = _answer(self._languages[choose(accepted, self._languages)], known)
        response.headers["Vary"] = "Accept-Language"
        return response

    def _add_brand(self, brand: Path, words: dict[str, dict[str, str]]) -> None:
        if not brand.is_dir():
            raise BrandError(
                f"{brand} is no folder; --portal-brand takes one with brand.css, logo.svg or en.json in it"
            )
        # A ConfigMap's files are links, and beside them are its own folders.
        for path in sorted(path for path in brand.iterdir() if path.is_file()):
            if path.suffix not in BRANDABLE:
                raise BrandError(f"{path}: a brand consists of files {', '.join(BRANDABLE)}")
            if path.suffix == ".json":
                words[path.stem] = words.get(path.stem, {}) | _words(path)
            else:
                self._files[path.name] = _file(path)


def choose(accepted: str, languages: Mapping[str, Any]) -> str:
    """The best of the languages for a header Accept-Language (RFC 9110, 12.5.4); English when there is none."""
    wishes: list[tuple[float, str]] = []
    for part in accepted.split(",")[:32]:
        tag, _, weight = part.strip().lower().partition(";q=")
        try:
            wishes.append((float(weight or 1), tag.strip()))
        except ValueError:
            continue
    # sorted() keeps the order of equal weights.
    for quality, wish in sorted(wishes, key=lambda wish: -wish[0]):
        for candidate in (wish, wish.partition("-")[0]):
            if quality > 0 and candidate in languages:
                return candidate
    return ENGLISH


def _words(path: Path) -> dict[str, str]:
    try:
        words = json.loads(path.read_bytes())
    except ValueError as error:
        raise BrandError(f"{path}: not JSON: {error}") from None
    if not isinstance(words, dict) or not all(isinstance(text, str) for text in words.values()):
        raise BrandError(f"{path}: must be one JSON object whose values are strings")
    return words


def _file(path: Path) -> File:
    return _file_of(path.read_bytes(), TYPES[path.suffix])


def _file_of(content: bytes, media_type: str) -> File:
    return File(content, media_type, f'"{sha256(content).hexdigest()[:20]}"')


def _answer(file: File, known: str | None) -> Response:
    headers = {**SECURITY, **REVALIDATE, "ETag": file.tag}
    if known == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
