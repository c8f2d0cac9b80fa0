"""Tokens: what they say, and when they are refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wireguard_operator.api.base import Key
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.domain import host_tokens
from wireguard_operator.domain.host_tokens import TokenError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
AUTHORITY = "sha256:" + "a" * 64


def server(uid: str = "u-1") -> WireGuardServer:
    return WireGuardServer.model_validate(
        {
            "metadata": {"name": "berlin.west", "namespace": "isp", "uid": uid},
            "spec": {"networks": ["10.8.0.0/24"], "dataPlane": {"type": "Host", "host": {"dial": True}}},
        }
    )


def test_a_token_is_one_line_and_comes_back_as_it_was() -> None:
    token, _ = host_tokens.make(server(), AUTHORITY, NOW, HOUR)
    text = token.encode()
    assert text.startswith("wgh1.") and text.split() == [text] and not set(text) & set("'\"$/+=")
    assert host_tokens.decode(f"  {text}\n") == token
    assert token.server == Key("isp", "berlin.west")
    assert token.secret not in repr(token)


def test_the_cluster_keeps_a_hash_that_nobody_can_enrol_with() -> None:
    token, body = host_tokens.make(server(), AUTHORITY, NOW, HOUR)
    kept = {key: host_tokens.secrets.read(body, key) for key in body["data"]}
    assert token.secret not in str(kept) and token.secret not in str(body)
    assert host_tokens.refusal(body, server(), kept["hash"] or "", NOW) is not None
    assert host_tokens.refusal(body, server(), token.secret, NOW) is None
    assert body["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_two_tokens_have_nothing_in_common() -> None:
    (one, first), (other, second) = (host_tokens.make(server(), AUTHORITY, NOW, HOUR) for _ in range(2))
    assert one.secret != other.secret and first["metadata"]["name"] != second["metadata"]["name"]


@pytest.mark.parametrize("text", ["", "hunter2", "wgh1.", "wgh1.bm9uc2Vuc2U", "wgh1.WyJhIl0", "wgh1.é"])
def test_a_text_that_is_no_token_is_not_quoted(text: str) -> None:
    with pytest.raises(TokenError) as caught:
        host_tokens.decode(text)
    assert "host-token" in str(caught.value) and (not text or text not in str(caught.value))


def changed(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**body, **changes}


def test_a_token_is_refused_in_words_that_tell_strangers_nothing() -> None:
    token, body = host_tokens.make(server(), AUTHORITY, NOW, HOUR)
    late = NOW + HOUR
    cases = {
        "not known": [
            host_tokens.refusal(None, server(), token.secret, NOW),
            host_tokens.refusal(body, server(), "x", NOW),
            host_tokens.refusal(body, server(), "x", late),
            host_tokens.refusal(changed(body, type="Opaque"), server(), token.secret, NOW),
            host_tokens.refusal(changed(body, data={}), server(), token.secret, NOW),
        ],
        "another server of this name": [host_tokens.refusal(body, server("u-2"), token.secret, NOW)],
        "expired at 2030-01-01T01:00:00Z": [host_tokens.refusal(body, server(), token.secret, late)],
    }
    for words, answers in cases.items():
        assert all(answer and words in answer and "host-token" in answer for answer in answers), (words, answers)
    assert len(set(cases["not known"])) == 1


def test_a_token_whose_end_cannot_be_told_is_over() -> None:
    _, body = host_tokens.make(server(), AUTHORITY, NOW, HOUR)
    assert not host_tokens.is_expired(body, NOW)
    assert host_tokens.is_expired(changed(body, data={}), NOW)


def test_the_secret_s_name_fits_whatever_the_server_is_called() -> None:
    assert len(host_tokens.secret_name("x" * 253, "0123456789")) <= 253
