"""Signatures of webhooks, as each sender makes them."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.domain.keys import Hidden
from wireguard_operator.gateway.billing.signature import sign, verify

SECRET = Hidden("s3cret of the tenant")
OTHER = Hidden("another")
EVENT: dict[str, Any] = {"type": "invoice.paid", "data": {"customer_id": "c-1", "name": "Zoë & <Ann>"}, "a": [1, 2.5]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def mac(message: bytes) -> str:
    return hmac.new(b"s3cret of the tenant", message, hashlib.sha256).hexdigest()


def compact(event: Any, **options: Any) -> bytes:
    return json.dumps(event, separators=(",", ":"), **options).encode()


def test_the_signature_over_the_very_bytes_is_right() -> None:
    body = b'{ "type" :\n"invoice.paid"}'
    assert verify([SECRET], body, mac(body))


def test_a_sender_that_signs_spaces_and_sends_none_is_believed() -> None:
    body = compact(EVENT, ensure_ascii=False)
    assert b"\xc3\xab" in body
    assert verify([SECRET], body, mac(json.dumps(EVENT).encode()))


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_sender_that_signs_sorted_compact_json_is_believed_whatever_form_it_sends(ascii_only: bool) -> None:
    signature = "sha256=" + mac(compact(EVENT, sort_keys=True, ensure_ascii=ascii_only))
    assert verify([SECRET], json.dumps(EVENT, indent=2).encode(), signature)


def test_after_a_change_of_the_secret_the_former_one_is_still_taken() -> None:
    body = compact(EVENT)
    assert verify([OTHER, SECRET], body, mac(body))


@pytest.mark.parametrize(
    "signature",
    ["", "sha256=", "0" * 64, mac(b"{}")[:-1], mac(b"{}") + "0", "é" * 64, "sha1=" + mac(b"{}"), "x" * 64],
    ids=range(8),
)
def test_anything_else_is_refused(signature: str) -> None:
    assert not verify([SECRET], b"{}", signature)


def test_without_a_secret_nothing_is_right() -> None:
    assert not verify([], b"{}", mac(b"{}"))
    assert not verify([OTHER], b"{}", mac(b"{}"))


def test_capital_digits_are_digits() -> None:
    assert verify([SECRET], b"{}", mac(b"{}").upper())


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[" * 100_000, b'"\\ud800"', b"NaN"], ids=range(5))
def test_a_body_that_is_no_json_is_compared_as_it_is(body: bytes) -> None:
    assert verify([SECRET], body, mac(body))
    assert not verify([SECRET], body, mac(b"something else"))


@given(JSON, JSON)
def test_another_event_never_passes_with_the_signature_of_one(signed: Any, sent: Any) -> None:
    body, signature = compact(sent), sign(SECRET, compact(signed, sort_keys=True))
    same = json.dumps(json.loads(body), sort_keys=True) == json.dumps(signed, sort_keys=True)
    assert verify([SECRET], body, signature) is same
