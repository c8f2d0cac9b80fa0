"""Names of interfaces, as ``wg`` takes them."""

from __future__ import annotations

import argparse
import re

_INTERFACE_NAME = re.compile(r"[A-Za-z0-9_=+.-]{1,15}")


def interface_name(text: str) -> str:
    """For argparse."""
    if not _INTERFACE_NAME.fullmatch(text) or text in (".", ".."):
        raise argparse.ArgumentTypeError("an interface's name is 1 to 15 of the characters A-Z a-z 0-9 _ = + . -")
    return text
