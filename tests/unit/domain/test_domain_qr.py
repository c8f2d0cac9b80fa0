"""QR codes: every form is read back by zbar, which shares no code with what drew it."""

import re
import struct
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import resvg_py

from tests.client_configs import CASES, PEER_PRIVATE, long_settings, settings, too_long_settings
from wireguard_operator.domain import qr

SHORT = settings().text
LONG = long_settings().text
FULL = SHORT + "#" * (qr.MAX_BYTES - len(SHORT) - 1) + "\n"
CONFIGS = {"short": SHORT, "long": LONG, "full": FULL} | {name: case.text for name, case in CASES.items()}
PIXELS = 3
"""Per module, where the test draws; zbar needs two for version 40."""

BLOCKS = {" ": (1, 1), "▀": (0, 1), "▄": (1, 0), "█": (0, 0)}
"""Upper and lower module of a character on a dark terminal, where what is drawn is light; 1 is dark."""

Bitmap = list[list[int]]


def scan(path: Path) -> str:
    """What zbar reads in a picture."""
    command = ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"zbarimg read nothing in {path.name}: {done.stderr}"
    return done.stdout.removesuffix("\n")


def modules(drawn: str) -> Bitmap:
    """The modules of a drawing, quiet zone included."""
    rows: Bitmap = []
    for line in drawn.splitlines():
        rows += [[BLOCKS[character][half] for character in line] for half in (0, 1)]
    # The number of modules is odd: the last half line is nothing, dark as the terminal.
    assert rows.pop() == [1] * len(rows[0])
    return rows


def write_pgm(path: Path, rows: Bitmap) -> None:
    pixels = b"".join(
        bytes(255 * (1 - module) for module in row for _ in range(PIXELS)) for row in rows for _ in range(PIXELS)
    )
    path.write_bytes(b"P5 %d %d 255\n" % (len(rows[0]) * PIXELS, len(rows) * PIXELS) + pixels)


def draw_png(config: str, path: Path) -> None:
    path.write_bytes(qr.png(config))


def draw_small_png(config: str, path: Path) -> None:
    path.write_bytes(qr.png(config, scale=2))


def draw_svg(config: str, path: Path) -> None:
    width = PIXELS * len(modules(qr.text(config)))
    path.write_bytes(resvg_py.svg_to_bytes(svg_string=qr.svg(config).decode(), width=width, dpi=96))


def draw_text(config: str, path: Path) -> None:
    write_pgm(path, modules(qr.text(config)))


@pytest.mark.parametrize("draw", [draw_png, draw_small_png, draw_svg, draw_text])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_an_independent_reader_reads_the_very_configuration(
    config: str, draw: Callable[[str, Path], None], tmp_path: Path
) -> None:
    picture = tmp_path / ("code.pgm" if draw is draw_text else "code.png")
    draw(config, picture)
    assert scan(picture) == config


def test_the_long_configuration_is_as_long_as_one_gets_and_the_full_one_fills_the_largest_code() -> None:
    assert 2400 < len(LONG) < 2600 and len(FULL) == 2953
    assert version_of(modules(qr.text(LONG))) == 36 and version_of(modules(qr.text(FULL))) == 40


def test_every_form_is_surrounded_by_four_light_modules() -> None:
    rows = modules(qr.text(SHORT))
    size = len(rows)
    assert all(len(row) == size for row in rows)
    for y, row in enumerate(rows):
        for x, module in enumerate(row):
            inside = 4 <= x < size - 4 and 4 <= y < size - 4
            assert inside or not module
    # The finder pattern begins right behind it, and the other forms are of the same size.
    assert rows[4][4:11] == [1] * 7
    assert png_size(qr.png(SHORT, scale=5)) == (5 * size, 5 * size)
    assert re.search(rb'viewBox="0 0 (\d+) (\d+)"', qr.svg(SHORT)).groups() == (b"%d" % size,) * 2  # type: ignore[union-attr]


def test_the_svg_brings_its_own_white_ground() -> None:
    assert b'fill="#fff"' in qr.svg(SHORT)


@pytest.mark.parametrize(
    ("length", "version", "level"),
    [(7, 1, "H"), (8, 1, "Q"), (14, 1, "M"), (15, 1, "L"), (18, 2, "Q"), (42, 3, "M"), (80, 5, "M"), (192, 8, "L"),
     (193, 9, "L"), (271, 10, "L"), (272, 11, "L"), (2809, 39, "L"), (2810, 40, "L")],
)  # fmt: skip
def test_the_code_is_as_small_as_it_can_be_and_then_as_robust_as_it_can_be(
    length: int, version: int, level: str
) -> None:
    """The numbers are those of ISO/IEC 18004, table 7, byte mode."""
    rows = modules(qr.text("x" * length))
    assert (version_of(rows), level_of(rows)) == (version, level)


def test_the_shortest_text_does_not_become_a_micro_qr_code() -> None:
    assert version_of(modules(qr.text("1"))) == 1


@pytest.mark.parametrize("draw", [qr.png, qr.svg, qr.text])
def test_a_configuration_that_does_not_fit_is_refused_with_what_to_shorten(draw: Callable[[str], object]) -> None:
    with pytest.raises(qr.ConfigTooLong) as refusal:
        draw(FULL + "#")
    said = str(refusal.value)
    assert "2954 bytes" in said and "2953" in said and "client.allowedIPs" in said and "dns" in said
    assert PEER_PRIVATE not in "".join(traceback.format_exception(refusal.value))


def test_what_the_api_server_takes_can_be_too_long_for_a_qr_code() -> None:
    with pytest.raises(qr.ConfigTooLong, match=f"{len(too_long_settings().text)} bytes"):
        qr.png(too_long_settings().text)


def version_of(rows: Bitmap) -> int:
    """The version of a code with quiet zone: 21 modules are version 1, each further one has four more."""
    version, rest = divmod(len(rows) - 8 - 17, 4)
    assert rest == 0
    return version


def level_of(rows: Bitmap) -> str:
    """The error correction level in the format information (ISO/IEC 18004, 7.9.1), unmasked."""
    bits = (rows[4 + 8][4] ^ 1, rows[4 + 8][5] ^ 0)
    return {(0, 1): "L", (0, 0): "M", (1, 1): "Q", (1, 0): "H"}[bits]


def png_size(picture: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", picture[16:24])
    return width, height
