"""Questions and answers as messages."""

import json

import pytest

from wireguard_operator.agent import frames
from wireguard_operator.agent.frames import Answer, FrameError, Question
from wireguard_operator.agent.protocol import DELTA_PATH, STATE_PATH


@pytest.mark.parametrize("body", [b"", b"{}", b"x\ny" * 2000])
def test_a_question_and_an_answer_come_back_as_they_were(body: bytes) -> None:
    question = Question(7, "POST", DELTA_PATH, {"cursor": "a=b"}, body)
    assert frames.read_question(frames.pack_question(question)) == question
    assert frames.read_answer(frames.pack_answer(Answer(7, 409, body))) == Answer(7, 409, body)


def test_long_bodies_are_compressed_but_for_parts_which_are_already() -> None:
    body = b"x" * 100_000
    assert len(frames.pack_question(Question(1, "POST", DELTA_PATH, body=body))) < 1000
    assert len(frames.pack_question(Question(1, "PUT", STATE_PATH, body=body))) > len(body)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{}",
        b"[]\n",
        b"nonsense\nbody",
        b'{"number":1}\n',
        b'{"number":"x","status":200,"method":"GET","path":"/","query":{}}\n',
        b'{"number":1,"status":200,"method":"GET","path":"/","query":{},"gzip":true}\nno gzip',
    ],
)
def test_what_is_no_message_is_refused_without_quoting_it(message: bytes) -> None:
    for read in (frames.read_question, frames.read_answer):
        with pytest.raises(FrameError) as caught:
            read(message)
        assert "nonsense" not in str(caught.value) and "no gzip" not in str(caught.value)


def test_a_small_message_cannot_become_a_huge_body(monkeypatch: pytest.MonkeyPatch) -> None:
    message = frames.pack_answer(Answer(1, 200, b"x" * 10_000))
    monkeypatch.setattr(frames, "MOST_BYTES", 9_999)
    with pytest.raises(FrameError):
        frames.read_answer(message)
    assert json.loads(message.partition(b"\n")[0])["gzip"] is True
