"""What is read from an image, on a small one made here."""

import io
import json
import tarfile
from pathlib import Path

from tools.image.sbom import Package, debian_packages, document, go_modules, python_package

STATUS = """\
Package: nftables
Status: install ok installed
Version: 1:1.1.3-1+b1
Description: program
 of several lines

Package: gone
Status: deinstall ok config-files
Version: 1
"""
METADATA = "Metadata-Version: 2.4\nName: Types_Of.Things\nVersion: 1.2\nLicense-Expression: MIT\n\nText: with a colon\n"
SITE = "opt/wireguard-operator/lib/python3.13/site-packages"


def go_binary() -> bytes:
    modules = b"path\texample.org/x\nmod\texample.org/x\t(devel)\ndep\texample.org/y\tv1.0.0\th1:abc=\n" + b"#" * 200
    header = (b"\xff Go buildinf:" + b"\x08\x02").ljust(32, b"\0")
    length = bytes([len(modules) & 0x7F | 0x80, len(modules) >> 7])
    return b"\x7fELF..." + header + bytes([8]) + b"go1.24.4" + length + modules


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_only_installed_debian_packages_count() -> None:
    assert list(debian_packages(STATUS)) == [Package("deb", "nftables", "1:1.1.3-1+b1")]


def test_a_distribution_has_its_normal_name_and_its_licence() -> None:
    assert python_package(METADATA) == Package("pypi", "types-of-things", "1.2", "MIT")


def test_go_modules_are_read_from_the_binary() -> None:
    found = list(go_modules(go_binary()))
    assert found == [Package("golang", "stdlib", "1.24.4"), Package("golang", "example.org/y", "v1.0.0")]


def test_a_script_has_no_go_modules() -> None:
    assert list(go_modules(b"#!/bin/sh\n")) == []


def test_the_purl_escapes_what_has_a_meaning_there() -> None:
    assert Package("deb", "nftables", "1:1.1.3-1+b1").purl == "pkg:deb/debian/nftables@1%3A1.1.3-1%2Bb1"


def test_the_document_describes_the_image_and_the_last_layer_wins(tmp_path: Path) -> None:
    old, new = STATUS.replace("1:1.1.3-1+b1", "1:1.0-1"), STATUS
    layers = {
        "one.tar": tar_of({"var/lib/dpkg/status": old.encode(), "etc/passwd": b"root"}),
        "two.tar": tar_of(
            {
                "./var/lib/dpkg/status": new.encode(),
                f"{SITE}/t-1.2.dist-info/METADATA": METADATA.encode(),
                "usr/local/bin/wireguard-go": go_binary(),
            }
        ),
    }
    manifest = [{"Config": "abc.json", "Layers": list(layers)}]
    config = {"created": "2026-01-02T03:04:05.678Z"}
    archive = tmp_path / "image.tar"
    archive.write_bytes(
        tar_of({"manifest.json": json.dumps(manifest).encode(), "abc.json": json.dumps(config).encode(), **layers})
    )

    found = document(archive, "localhost/x:dev")

    assert found["creationInfo"]["created"] == "2026-01-02T03:04:05Z"
    assert [(package["name"], package["versionInfo"]) for package in found["packages"]] == [
        ("localhost/x:dev", "sha256:abc"),
        ("nftables", "1:1.1.3-1+b1"),
        ("example.org/y", "v1.0.0"),
        ("stdlib", "1.24.4"),
        ("types-of-things", "1.2"),
    ]
    identifiers = [package["SPDXID"] for package in found["packages"]]
    assert len(set(identifiers)) == len(identifiers)
    assert {relation["relatedSpdxElement"] for relation in found["relationships"]} == set(identifiers)
