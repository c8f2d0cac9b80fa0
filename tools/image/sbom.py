"""What is in the image, as an SPDX 2.3 document: Debian packages, Python distributions and Go modules.

Nothing of it is copied from a list of intentions: it is read from the finished image, from the databases that dpkg and
pip keep and from the build information inside Go binaries. A docker-archive is a tar of layer tars, so neither root nor
a container engine is needed.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

_DPKG = "var/lib/dpkg/status"
_WHEEL = re.compile(r"opt/wireguard-operator/lib/python3[^/]*/site-packages/[^/]+\.dist-info/METADATA")
_GO_BINARY = re.compile(r"usr/local/bin/[^/]+")
_GO_MARK = b"\xff Go buildinf:"


@dataclass(frozen=True, order=True)
class Package:
    """One thing in the image."""

    kind: str
    name: str
    version: str
    licence: str = "NOASSERTION"

    @property
    def purl(self) -> str:
        """The package URL that vulnerability scanners look up."""
        spaces = {"deb": "deb/debian", "pypi": "pypi", "golang": "golang"}
        return f"pkg:{spaces[self.kind]}/{self.name}@{self.version.replace('+', '%2B').replace(':', '%3A')}"


def document(archive: Path, image: str) -> dict[str, Any]:
    """Return the SPDX document of a docker-archive."""
    with tarfile.open(archive) as tar:
        manifest = json.loads(_read(tar, "manifest.json"))[0]
        created = json.loads(_read(tar, manifest["Config"]))["created"]
        found = sorted(set(_packages(_contents(tar, manifest["Layers"]))))
    digest = Path(manifest["Config"]).name.removesuffix(".json")
    root: dict[str, Any] = {"SPDXID": "SPDXRef-image", "name": image, "versionInfo": f"sha256:{digest}", **_UNKNOWN}
    entries = [_entry(number, package) for number, package in enumerate(found)]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": image,
        "documentNamespace": f"urn:wireguard-operator:image:{digest}",
        "creationInfo": {"created": created[:19] + "Z", "creators": ["Tool: wireguard-operator-image"]},
        "packages": [root, *entries],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", root["SPDXID"]),
            *(_relation(root["SPDXID"], "CONTAINS", entry["SPDXID"]) for entry in entries),
        ],
    }


_UNKNOWN = {"downloadLocation": "NOASSERTION", "filesAnalyzed": False}


def _entry(number: int, package: Package) -> dict[str, Any]:
    reference = {
        "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": package.purl,
    }  # fmt: skip
    return {
        "SPDXID": f"SPDXRef-{package.kind}-{number}",
        "name": package.name,
        "versionInfo": package.version,
        "licenseDeclared": package.licence,
        **_UNKNOWN,
        "externalRefs": [reference],
    }


def _relation(subject: str, kind: str, thing: str) -> dict[str, str]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": thing}


def _contents(tar: tarfile.TarFile, layers: list[str]) -> dict[str, bytes]:
    """Read the files that matter; of a file in several layers the last one counts."""
    found: dict[str, bytes] = {}
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(_read(tar, layer))) as inner:
            for member in inner:
                name = member.name.removeprefix("./").removeprefix("/")
                if member.isfile() and (name == _DPKG or _WHEEL.fullmatch(name) or _GO_BINARY.fullmatch(name)):
                    found[name] = _read(inner, member)
    return found


def _read(tar: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise ValueError(f"{member} is no file")
    return file.read()


def _packages(contents: dict[str, bytes]) -> Iterator[Package]:
    for name, content in contents.items():
        if name == _DPKG:
            yield from debian_packages(content.decode())
        elif name.endswith("METADATA"):
            yield python_package(content.decode())
        else:
            yield from go_modules(content)


def debian_packages(status: str) -> Iterator[Package]:
    """Read dpkg's status file."""
    for paragraph in status.split("\n\n"):
        fields = HeaderParser().parsestr(paragraph)
        if fields.get("Status") == "install ok installed":
            yield Package("deb", fields["Package"], fields["Version"])


def python_package(metadata: str) -> Package:
    """Read a distribution's METADATA; only a licence in SPDX's own words is one."""
    fields = HeaderParser().parsestr(metadata)
    name = re.sub(r"[-_.]+", "-", fields["Name"]).lower()
    return Package("pypi", name, fields["Version"], fields.get("License-Expression") or "NOASSERTION")


def go_modules(binary: bytes) -> Iterator[Package]:
    """Read what the Go linker wrote into a binary: its own version and the modules; anything else gives nothing."""
    start = binary.find(_GO_MARK)
    if start < 0:
        return
    version, rest = _go_string(binary[start + 32 : start + 65536])
    modules, _ = _go_string(rest)
    yield Package("golang", "stdlib", version.decode(errors="replace").removeprefix("go"))
    for name, module in re.findall(rb"^(?:mod|dep)\t(\S+)\t(v\S+)", modules, re.MULTILINE):
        yield Package("golang", name.decode(), module.decode())


def _go_string(data: bytes) -> tuple[bytes, bytes]:
    """Cut off a string with its length before it, as a varint."""
    length = used = 0
    while used < len(data):
        byte = data[used]
        length |= (byte & 0x7F) << 7 * used
        used += 1
        if byte < 0x80:
            break
    return data[used : used + length], data[used + length :]
