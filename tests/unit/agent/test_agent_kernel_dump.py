"""WireGuard's netlink dumps, written by an encoder that lays attributes as the kernel does, or in any other order."""

from __future__ import annotations

import ipaddress
import random
import socket
import struct
import time
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.agent import wgdump, wgnetlink
from wireguard_operator.agent.device import DumpedPeer
from wireguard_operator.agent.nlattr import CodecError, attribute
from wireguard_operator.domain.keys import decode_key

NESTED = 0x8000
networks = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(
        lambda length: str(ipaddress.ip_network(f"{address}/{length}", strict=False))
    )
)
keys = st.binary(min_size=32, max_size=32).filter(any).map(lambda raw: b64encode(raw).decode())
peers = st.builds(
    DumpedPeer,
    public_key=keys,
    allowed_ips=st.lists(networks, max_size=6).map(tuple),
    preshared_key=st.none() | keys,
    endpoint=st.sampled_from([None, "192.0.2.1:51820", "[2001:db8::1]:1", "[fe80::1%3]:65535"]),
    last_handshake=st.integers(0, 2**40),
    rx_bytes=st.integers(0, 2**64 - 1),
    tx_bytes=st.integers(0, 2**64 - 1),
)


def allowed_ip(text: str, shuffle: random.Random | None) -> bytes:
    network = ipaddress.ip_network(text)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    fields = [
        attribute(3, bytes([network.prefixlen])),
        attribute(1, struct.pack("=H", family)),
        attribute(2, network.network_address.packed),
    ]
    if shuffle:
        shuffle.shuffle(fields)
    return attribute(NESTED, b"".join(fields))


def encode_peer(peer: DumpedPeer, shuffle: random.Random | None = None) -> bytes:
    fields = [
        attribute(1, decode_key(peer.public_key)),
        attribute(2, decode_key(peer.preshared_key) if peer.preshared_key else bytes(32)),
        attribute(6, struct.pack("=qq", peer.last_handshake, 5)),
        attribute(5, struct.pack("=H", 0)),
        attribute(8, struct.pack("=Q", peer.tx_bytes)),
        attribute(7, struct.pack("=Q", peer.rx_bytes)),
        attribute(10, struct.pack("=I", 1)),
    ]
    if peer.endpoint:
        fields.append(attribute(4, wgnetlink.encode_endpoint(peer.endpoint)))
    if peer.allowed_ips:
        fields.append(attribute(9 | NESTED, b"".join(allowed_ip(text, shuffle) for text in peer.allowed_ips)))
    if shuffle:
        fields.append(attribute(99, b"a later kernel's"))
        shuffle.shuffle(fields)
    return attribute(NESTED, b"".join(fields))


def more_of(peer: DumpedPeer) -> bytes:
    """A peer that goes on in the next message."""
    listed = b"".join(allowed_ip(text, None) for text in peer.allowed_ips)
    return attribute(NESTED, attribute(1, decode_key(peer.public_key)) + attribute(9 | NESTED, listed))


def read(*messages: bytes, before: wgdump.Dump | None = None) -> wgdump.Dump:
    dump = wgdump.Dump(before=before.raw if before else {})
    for message in messages:
        wgdump.read_device(dump, memoryview(message), 0, len(message))
    return dump


def message(*encoded: bytes) -> bytes:
    return attribute(8 | NESTED, b"".join(encoded))


@given(st.lists(peers, max_size=5, unique_by=lambda peer: peer.public_key), st.none() | st.integers())
def test_a_dump_is_read_whatever_the_order_of_its_attributes(wanted: list[DumpedPeer], seed: int | None) -> None:
    shuffle = None if seed is None else random.Random(seed)
    dump = read(message(*(encode_peer(peer, shuffle) for peer in wanted)))
    assert list(dump.peers.values()) == wanted


@given(st.lists(peers, min_size=1, max_size=5, unique_by=lambda peer: peer.public_key))
def test_a_second_dump_that_knows_the_first_reads_the_same_and_what_changed(wanted: list[DumpedPeer]) -> None:
    first = read(message(*map(encode_peer, wanted)))
    changed = [DumpedPeer(wanted[0].public_key, ("10.0.0.0/8",), rx_bytes=7), *wanted[1:]]
    second = read(message(*map(encode_peer, changed)), before=first)
    assert list(second.peers.values()) == changed
    assert all(second.peers[peer.public_key] is first.peers[peer.public_key] for peer in wanted[1:])


def test_settings_of_the_device_are_read() -> None:
    key = b64encode(b"k" * 32).decode()
    body = attribute(1, struct.pack("=I", 7)) + attribute(3, b"k" * 32) + attribute(6, struct.pack("=H", 51820))
    dump = read(body + attribute(2, b"wg0\0") + attribute(4, b"p" * 32) + attribute(7, bytes(4)), message())
    assert (dump.index, dump.private_key, dump.listen_port, dump.peers) == (7, key, 51820, {})
    assert key not in repr(dump)


def test_a_peer_that_goes_on_in_later_messages_is_one_peer() -> None:
    listed = tuple(f"10.{n >> 8}.{n & 255}.0/24" for n in range(3_000))
    key, other = (b64encode(raw * 32).decode() for raw in (b"a", b"b"))
    first = DumpedPeer(key, listed[:1_000], None, "192.0.2.1:9", 5, 6, 7)
    last = DumpedPeer(other, ("10.200.0.0/16",), rx_bytes=1)
    dump = read(
        message(encode_peer(first)),
        message(more_of(DumpedPeer(key, listed[1_000:2_000]))),
        message(more_of(DumpedPeer(key, listed[2_000:])), encode_peer(last)),
    )
    assert dump.peers == {key: DumpedPeer(key, listed, None, "192.0.2.1:9", 5, 6, 7), other: last}


@given(st.binary(max_size=300))
def test_nonsense_is_an_error_or_nothing_and_never_endless(nonsense: bytes) -> None:
    try:
        dump = read(attribute(8 | NESTED, attribute(NESTED, nonsense)))
    except CodecError:
        return
    assert len(dump.peers) <= 1


@given(peers, st.data())
def test_a_dump_that_is_cut_off_is_an_error(peer: DumpedPeer, data: st.DataObject) -> None:
    whole = message(encode_peer(peer))
    kept = data.draw(st.integers(4, len(whole) - 1))
    with pytest.raises(CodecError):
        read(whole[:kept])


def test_ten_thousand_peers_are_read_in_far_less_than_a_second_and_again_in_less_still() -> None:
    encoded = [
        encode_peer(DumpedPeer(b64encode(n.to_bytes(32)).decode(), ("10.0.0.1/32",), b64encode(b"s" * 32).decode()))
        for n in range(1, 10_001)
    ]
    whole = [message(*encoded[start : start + 200]) for start in range(0, 10_000, 200)]
    began = time.process_time()
    first = read(*whole)
    middle = time.process_time()
    second = read(*whole, before=first)
    assert len(first.peers) == len(second.peers) == 10_000
    assert middle - began < 1
    assert time.process_time() - middle < 1
