"""QR codes of client configurations, which phones import with the camera: as PNG, as SVG and as text for a terminal.

A code holds 2953 bytes at most, and the fewer modules it has the easier it is to read. So the size is chosen first,
as small as the lowest error correction allows, and what room is left in it goes into more error correction. Micro QR is
never used: phones do not read it. Every form carries the quiet zone of four light modules (ISO/IEC 18004, 9.1).
"""

from __future__ import annotations

import io

import segno

MAX_BYTES = 2953
"""What version 40 holds with error correction L (ISO/IEC 18004, table 7)."""
QUIET_ZONE = 4
PNG_SCALE = 8


class ConfigTooLong(ValueError):
    """The configuration does not fit into a QR code. The message says what to shorten and quotes nothing."""


def png(config: str, scale: int = PNG_SCALE) -> bytes:
    """A PNG with ``scale`` pixels a module, black on white. Raises ConfigTooLong."""
    out = io.BytesIO()
    _code(config).save(out, kind="png", scale=scale, border=QUIET_ZONE, dark="#000", light="#fff")
    return out.getvalue()


def svg(config: str) -> bytes:
    """An SVG of one millimetre a module, with a white ground for viewers that have a dark one. Raises ConfigTooLong."""
    out = io.BytesIO()
    _code(config).save(out, kind="svg", unit="mm", border=QUIET_ZONE, dark="#000", light="#fff")
    return out.getvalue()


def text(config: str) -> str:
    """Half blocks, two modules a character. What is light in the code is drawn, so that it reads on a dark terminal.

    Raises ConfigTooLong.
    """
    out = io.StringIO()
    _code(config).terminal(out, border=QUIET_ZONE, compact=True)
    return out.getvalue()


def modules(config: str) -> tuple[str, ...]:
    """The rows of the code, 1 for a dark module, without the quiet zone: for whoever draws it. Raises ConfigTooLong."""
    return tuple("".join("1" if module else "0" for module in row) for row in _code(config).matrix)


def _code(config: str) -> segno.QRCode:
    data = config.encode()
    try:
        return segno.make_qr(data, error="l", mode="byte", boost_error=True)
    except segno.DataOverflowError:
        raise ConfigTooLong(
            f"the configuration has {len(data)} bytes and a QR code holds at most {MAX_BYTES}; "
            "shorten client.allowedIPs or client.dns of the peer, or clientAllowedIPs or dns of the server"
        ) from None
