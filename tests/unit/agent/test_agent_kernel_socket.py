"""The generic-netlink socket against a kernel that is played."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from wireguard_operator.agent import genetlink
from wireguard_operator.agent.device import DeviceError
from wireguard_operator.agent.genetlink import Connection, GenetlinkError
from wireguard_operator.agent.nlattr import CodecError, attribute

FAMILY = 0x1D
ERROR, DONE, CONTROL = 2, 3, 16
MULTI, DUMP_INTR, CAPPED, ACK_TLVS = 2, 0x10, 0x100, 0x200
SECRET = b"secret of thirty-two bytes, no less"


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body + bytes(-len(body) & 3)


def content(sequence: int, text: bytes, flags: int = MULTI) -> bytes:
    return message(FAMILY, flags, sequence, struct.pack("=BBH", 0, 1, 0) + text)


class Kernel:
    """Answers each request with what ``play`` makes of its type and sequence number; knows the family by itself."""

    def __init__(self, play: Callable[[int, int], list[bytes]]) -> None:
        self._play = play
        self._replies: list[bytes] = []
        self.requests: list[bytes] = []

    def send(self, data: bytes) -> None:
        kind, _, sequence = struct.unpack_from("=HHI", data, 4)
        if kind == CONTROL:
            body = struct.pack("=BBH", 1, 2, 0) + attribute(2, b"wireguard\0") + attribute(1, struct.pack("=H", FAMILY))
            self._replies.append(message(CONTROL, 0, sequence, body))
        else:
            self.requests.append(data)
            self._replies += self._play(len(self.requests), sequence)

    def recv_into(self, buffer: bytearray) -> int:
        if not self._replies:
            raise TimeoutError
        reply = self._replies.pop(0)
        buffer[: len(reply)] = reply
        return len(reply)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None  # setsockopt, bind, settimeout, close


@pytest.fixture
def connect(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[int, int], list[bytes]]], tuple[Connection, Kernel]]:
    def connect(play: Callable[[int, int], list[bytes]]) -> tuple[Connection, Kernel]:
        kernel = Kernel(play)
        played = SimpleNamespace(socket=lambda *_: kernel, AF_NETLINK=16, SOCK_RAW=3, SOCK_CLOEXEC=0)
        monkeypatch.setattr(genetlink, "socket", played)
        return Connection("wireguard", 1), kernel

    return connect


def dump(connection: Connection) -> list[bytes]:
    def read(found: list[bytes], data: memoryview, start: int, end: int) -> None:
        found.append(bytes(data[start:end]))

    return connection.dump(0, b"", list, read)


def done(sequence: int, code: int = 0, flags: int = MULTI) -> bytes:
    return message(DONE, flags, sequence, struct.pack("=i", code))


def test_a_dump_is_all_messages_of_its_own_number(connect: Any) -> None:
    def play(_: int, sequence: int) -> list[bytes]:
        first = content(sequence - 1, b"late") + content(sequence, b"one.") + content(sequence, b"two.")
        return [first, content(sequence, b"three...") + done(sequence)]

    assert dump(connect(play)[0]) == [b"one.", b"two.", b"three..."]


@pytest.mark.parametrize("where", ["content", "end"])
def test_a_dump_that_was_interrupted_is_taken_again_whole(connect: Any, where: str) -> None:
    def play(number: int, sequence: int) -> list[bytes]:
        flag = DUMP_INTR if number < 3 else 0
        text = b"old." if number < 3 else b"new."
        marked = (flag, 0) if where == "content" else (0, flag)
        return [content(sequence, text, MULTI | marked[0]) + done(sequence, flags=MULTI | marked[1])]

    connection, kernel = connect(play)
    assert dump(connection) == [b"new."]
    assert len(kernel.requests) == 3


def test_a_device_that_never_holds_still_is_told(connect: Any) -> None:
    connection, kernel = connect(lambda _, sequence: [done(sequence, flags=DUMP_INTR)])
    with pytest.raises(DeviceError, match="changes faster"):
        dump(connection)
    assert len(kernel.requests) == genetlink.DUMP_TRIES


def test_an_end_with_an_error_is_an_error(connect: Any) -> None:
    with pytest.raises(GenetlinkError, match="EMSGSIZE") as caught:
        dump(connect(lambda _, sequence: [content(sequence, b"one.") + done(sequence, -errno.EMSGSIZE)])[0])
    assert caught.value.code == errno.EMSGSIZE


@pytest.mark.parametrize("capped", [True, False])
def test_the_kernels_own_words_are_passed_on_and_the_request_is_not(connect: Any, capped: bool) -> None:
    def play(_: int, sequence: int) -> list[bytes]:
        request = struct.pack("=IHHII", 16 + len(SECRET), FAMILY, 5, sequence, 0) + (b"" if capped else SECRET)
        body = struct.pack("=i", -errno.EINVAL) + request + bytes(-len(request) & 3)
        flags = ACK_TLVS | (CAPPED if capped else 0)
        return [message(ERROR, flags, sequence, body + attribute(2, bytes(4)) + attribute(1, b"not so\0"))]

    with pytest.raises(GenetlinkError) as caught:
        connect(play)[0].call(1, SECRET)
    assert str(caught.value) == "EINVAL (Invalid argument: not so)"


def test_a_request_waits_for_its_own_acknowledgement(connect: Any) -> None:
    def play(_: int, sequence: int) -> list[bytes]:
        late = message(ERROR, CAPPED, sequence - 1, struct.pack("=i", -errno.EINVAL) + bytes(16))
        return [late, message(ERROR, CAPPED, sequence, struct.pack("=i", 0) + bytes(16))]

    connection, kernel = connect(play)
    connection.call(1, b"body")
    assert kernel.requests[0].endswith(b"body")


def test_silence_and_nonsense_are_told(connect: Any) -> None:
    with pytest.raises(DeviceError, match="does not answer"):
        connect(lambda *_: [])[0].call(1, b"")
    with pytest.raises(CodecError):
        connect(lambda *_: [struct.pack("=IHHII", 4, 0, 0, 0, 0)])[0].call(1, b"")
