"""Which files the image is made of, and when it has to be built anew."""

import os
from pathlib import Path

import pytest

from tools.controlplane.paths import REPOSITORY
from tools.image.inputs import RECIPE, SOURCES, copy_inputs, image_key


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    copy_inputs(REPOSITORY, tmp_path)
    return tmp_path


def test_a_copy_of_the_inputs_has_the_same_key(copy: Path) -> None:
    assert image_key(copy) == image_key(REPOSITORY)


@pytest.mark.parametrize("name", ["operator/wireguard_operator/__init__.py", "images/Dockerfile", "requirements.lock"])
def test_a_changed_input_is_another_image(copy: Path, name: str) -> None:
    before = image_key(copy)
    with (copy / name).open("a") as file:
        file.write("\n# changed\n")
    assert image_key(copy) != before


def test_a_renamed_input_is_another_image(copy: Path) -> None:
    before = image_key(copy)
    (copy / "operator/wireguard_operator/__main__.py").rename(copy / "operator/wireguard_operator/other.py")
    assert image_key(copy) != before


def test_times_byte_code_and_other_files_do_not_matter(copy: Path) -> None:
    before = image_key(copy)
    os.utime(copy / "pyproject.toml", (0, 0))
    cache = copy / "operator/wireguard_operator/__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_bytes(b"x")
    (copy / "Makefile").write_text("all:")
    assert image_key(copy) == before


def test_another_base_is_another_image() -> None:
    assert image_key(REPOSITORY, ["one"]) != image_key(REPOSITORY, ["another"])


def test_all_that_the_dockerfile_copies_is_an_input_and_passes_dockerignore() -> None:
    dockerfile, ignore = ((REPOSITORY / name).read_text() for name in RECIPE)
    copied = {
        word.removesuffix("/")
        for line in dockerfile.splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for word in line.split()[1:-1]
    }
    allowed = {line[1:] for line in ignore.splitlines() if line.startswith("!")} - {"tools"}
    assert {"tools/wireguard-go" if word.startswith("tools/wireguard-go/") else word for word in copied} == set(SOURCES)
    assert allowed == set(SOURCES)
