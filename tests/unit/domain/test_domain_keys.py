"""Keys: text, clamping, hiding."""

import base64
import re

import pytest

from wireguard_operator.domain.keys import (
    Hidden,
    InvalidKeyError,
    decode_key,
    generate_pair,
    generate_preshared,
    pair_of,
)

# RFC 7748 section 6.1, Alice's keys.
PRIVATE = base64.b64encode(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df8d5c0bd3e2d3b0c38f5e9c9b3e2c2a")).decode()


def test_a_generated_pair_is_clamped_and_fits_together() -> None:
    pair = generate_pair()
    raw = base64.b64decode(pair.private.reveal())
    assert raw[0] & 7 == 0 and raw[31] & 192 == 64
    assert pair_of(pair.private) == pair


def test_an_imported_private_key_is_clamped() -> None:
    pair = pair_of(Hidden(PRIVATE))
    raw = base64.b64decode(pair.private.reveal())
    assert raw[0] == 0x70 and raw[31] & 192 == 64
    assert pair_of(pair.private).public == pair.public


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("%%%", "not base64"), (base64.b64encode(bytes(31)).decode(), "31 bytes"),
     (base64.b64encode(b"x" * 33).decode(), "33 bytes"), ("A" * 43 + "=", "all zero")],
)  # fmt: skip
def test_a_bad_key_is_refused_without_being_quoted(text: str, complaint: str) -> None:
    with pytest.raises(InvalidKeyError, match=re.escape(complaint)) as error:
        decode_key(text)
    assert text not in str(error.value)


def test_a_hidden_value_does_not_print() -> None:
    secret = generate_preshared()
    assert secret.reveal() not in f"{secret} {secret!r} {[secret]} {generate_pair()}"
    assert len(decode_key(secret.reveal())) == 32
