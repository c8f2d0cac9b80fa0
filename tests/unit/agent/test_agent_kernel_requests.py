"""WireGuard's netlink requests as bytes."""

from __future__ import annotations

import base64
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.agent import wgdump, wgnetlink
from wireguard_operator.agent.nlattr import CodecError, attribute, attributes
from wireguard_operator.domain.device import DevicePeer
from wireguard_operator.domain.keys import InvalidKeyError

RAW = bytes(range(32))
KEY = base64.b64encode(RAW).decode()
SECRET = base64.b64encode(b"s" * 32).decode()


def test_a_peer_is_put_with_all_its_settings() -> None:
    (part,) = wgnetlink.upsert(DevicePeer(KEY, ("10.8.0.2/32", "fd08::2/128"), SECRET)).parts
    golden = (
        "9c000080"
        f"24000100{RAW.hex()}"
        f"24000200{'73' * 32}"
        "0800030002000000"  # replace allowed IPs
        "48000980"
        "1c000080 0600010002000000 080002000a080002 0500030020000000"
        f"28000080 060001000a000000 14000200{'fd08' + '00' * 13 + '02'} 0500030080000000"
    )
    assert part == bytes.fromhex(golden)  # of a little-endian machine, as all are that are built for


def test_a_peer_without_preshared_key_loses_the_one_it_had() -> None:
    (part,) = wgnetlink.upsert(DevicePeer(KEY, ())).parts
    assert attribute(2, bytes(32)) in part


def test_a_peer_is_removed_without_being_made_first() -> None:
    (part,) = wgnetlink.removal(KEY).parts
    assert part == attribute(0x8000, attribute(1, RAW) + attribute(3, struct.pack("=I", 1 | 4)))


def test_a_peer_that_is_cut_is_neither_made_nor_given_an_allowed_ip() -> None:
    (part,) = wgnetlink.cut(KEY).parts
    assert part == attribute(0x8000, attribute(1, RAW) + attribute(3, struct.pack("=I", 2 | 4)))


def test_a_kick_leaves_no_keepalive() -> None:
    (part,) = wgnetlink.kick(KEY, "192.0.2.1:51820").parts
    first, second = list(attributes(part, 0, len(part)))
    off = {kind: part[start:end] for kind, start, end in attributes(part, second[1], second[2])}
    on = {kind: part[start:end] for kind, start, end in attributes(part, first[1], first[2])}
    assert on[4] == struct.pack("=H", socket.AF_INET) + b"\xca\x6c\xc0\x00\x02\x01" + bytes(8)
    assert (on[5], off[5]) == (struct.pack("=H", 1), bytes(2))
    assert 4 not in off


def test_settings_that_are_right_are_not_sent() -> None:
    assert wgnetlink.device(7) == attribute(1, struct.pack("=I", 7))
    body = wgnetlink.device(7, private_key=SECRET, listen_port=51820, replace_peers=True)
    assert [kind for kind, _, _ in attributes(body, 0, len(body))] == [1, 3, 6, 5]


def test_a_peer_with_very_many_allowed_ips_comes_in_parts_that_add_up() -> None:
    networks = tuple(f"10.{n >> 8}.{n & 255}.0/24" for n in range(2_500))
    parts = wgnetlink.upsert(DevicePeer(KEY, networks, SECRET)).parts
    assert len(parts) == 3 and all(len(part) < wgnetlink.MESSAGE_BYTES for part in parts)
    flags = [struct.pack("=I", value) for value in (2, 4, 4)]  # replace allowed IPs, then update only
    assert all(attribute(3, flag) in part for part, flag in zip(parts, flags, strict=True))
    assert [attribute(2, b"s" * 32) in part for part in parts] == [True, False, False]


def test_messages_are_full_and_keep_their_order() -> None:
    peers = [DevicePeer(base64.b64encode(n.to_bytes(32)).decode(), (f"10.0.0.{n % 256}/32",)) for n in range(1, 2_001)]
    peers[1_000] = DevicePeer(peers[1_000].public_key, tuple(f"10.{n >> 8}.{n & 255}.0/24" for n in range(1_500)))
    changes = [wgnetlink.upsert(peer) for peer in peers]
    batches = list(wgnetlink.batches(changes))
    assert [change for batch in batches for change in batch] == changes
    assert [changes[1_000]] in batches
    assert len(batches) < 10
    messages = [message for batch in batches for message in wgnetlink.messages(batch)]
    assert all(len(wgnetlink.device(7, peers=message)) <= 65_535 for message in messages)
    assert list(wgnetlink.batches([])) == []


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.0", "10.0.0.0/999", "10.0.0.0/-1", "2001:db8::/x", "/24"])
def test_what_is_no_prefix_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(CodecError, match="is no prefix") as caught:
        wgnetlink.upsert(DevicePeer(KEY, (text,), SECRET))
    assert repr(text) in str(caught.value) and SECRET not in str(caught.value)


def test_a_key_that_is_none_is_an_error_that_does_not_quote_it() -> None:
    with pytest.raises(InvalidKeyError) as caught:
        wgnetlink.upsert(DevicePeer(KEY, (), SECRET[:-4]))
    assert SECRET[:20] not in str(caught.value)


@pytest.mark.parametrize("text", ["", "10.0.0.1", "10.0.0.1:x", "10.0.0.1:65536", "[fe80::1%nowhere0]:9", "host:9"])
def test_what_is_no_endpoint_is_an_error(text: str) -> None:
    with pytest.raises(CodecError, match="is no endpoint"):
        wgnetlink.encode_endpoint(text)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_an_endpoint_comes_back_as_it_was(address: object, port: int, zone: int) -> None:
    scope = f"%{zone}" if zone else ""
    text = f"[{address}{scope}]:{port}" if ":" in str(address) else f"{address}:{port}"
    raw = wgnetlink.encode_endpoint(text)
    back = wgdump.decode_endpoint(raw)
    assert back is not None and wgnetlink.encode_endpoint(back) == raw


def test_a_zone_may_be_named() -> None:
    index = socket.if_nametoindex("lo")
    assert wgdump.decode_endpoint(wgnetlink.encode_endpoint("[fe80::1%lo]:9")) == f"[fe80::1%{index}]:9"


def test_no_secret_is_in_a_repr() -> None:
    shown = repr(wgnetlink.upsert(DevicePeer(KEY, (), SECRET)))
    assert SECRET not in shown and "sssss" not in shown
