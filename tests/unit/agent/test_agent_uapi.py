"""The userspace API as text."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.agent import uapi
from wireguard_operator.domain.device import DevicePeer

KEY = base64.b64encode(bytes(range(32))).decode()
HEX = bytes(range(32)).hex()
SECRET = base64.b64encode(b"s" * 32).decode()


def test_a_peer_is_put_with_all_its_settings() -> None:
    peer = DevicePeer(KEY, ("10.8.0.2/32", "fd08::2/128"), SECRET)
    assert uapi.set_request(uapi.upsert_lines(peer)).decode().split("\n") == [
        "set=1",
        f"public_key={HEX}",
        f"preshared_key={'73' * 32}",
        "replace_allowed_ips=true",
        "allowed_ip=10.8.0.2/32",
        "allowed_ip=fd08::2/128",
        "",
        "",
    ]


def test_a_peer_without_preshared_key_loses_the_one_it_had() -> None:
    assert f"preshared_key={'0' * 64}" in list(uapi.upsert_lines(DevicePeer(KEY, ())))


def test_a_peer_is_removed_without_being_made_first() -> None:
    assert list(uapi.remove_lines(KEY)) == [f"public_key={HEX}", "update_only=true", "remove=true"]


def test_a_peer_that_is_cut_is_neither_made_nor_given_an_allowed_ip() -> None:
    assert list(uapi.cut_lines(KEY)) == [f"public_key={HEX}", "update_only=true", "replace_allowed_ips=true"]


def test_a_reader_takes_what_did_not_change_from_its_last_reply() -> None:
    one, two = f"public_key={HEX}\nrx_bytes=1\n", f"public_key={'ab' * 32}\nrx_bytes=2\n"
    reader = uapi.Reader()
    first = reader.read(f"private_key={HEX}\nlisten_port=5\n{one}{two}errno=0\n\n".encode())
    second = reader.read(f"listen_port=6\n{two.replace('=2', '=3')}{one}errno=0\n\n".encode())
    (key, changed) = first.peers
    assert second.peers[key] is first.peers[key]
    assert (first.peers[changed].rx_bytes, second.peers[changed].rx_bytes) == (2, 3)
    assert (second.private_key, second.listen_port) == (None, 6)
    assert reader.read(b"errno=0\n\n").peers == {}


def test_a_kick_leaves_no_keepalive() -> None:
    lines = list(uapi.kick_lines(KEY, "[2001:db8::1]:51820"))
    assert "endpoint=[2001:db8::1]:51820" in lines
    assert lines[-1] == "persistent_keepalive_interval=0"


def test_settings_that_are_right_are_not_sent() -> None:
    assert list(uapi.interface_lines(None, None)) == []
    assert list(uapi.interface_lines(KEY, 51820)) == [f"private_key={HEX}", "listen_port=51820"]


def test_a_dump_is_read_and_unknown_keys_are_passed_over() -> None:
    reply = uapi.parse_get(
        f"private_key={HEX}\nlisten_port=51820\nfwmark=7\nnew_thing=1\n"
        f"public_key={HEX}\npreshared_key={'73' * 32}\nprotocol_version=1\nendpoint=[2001:db8::1]:9\n"
        "last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=5\ntx_bytes=7\nrx_bytes=6\n"
        "persistent_keepalive_interval=0\nfuture=a=b\nallowed_ip=10.8.0.2/32\nallowed_ip=fd08::2/128\n"
        f"public_key={'ff' * 32}\npreshared_key={'0' * 64}\nlast_handshake_time_sec=0\n"
        "errno=0\n\n".encode()
    )
    assert (reply.private_key, reply.listen_port) == (KEY, 51820)
    peer, other = reply.peers.values()
    assert (peer.public_key, peer.preshared_key) == (KEY, SECRET)
    assert peer.allowed_ips == ("10.8.0.2/32", "fd08::2/128")
    assert (peer.rx_bytes, peer.tx_bytes, peer.last_handshake) == (6, 7, 1700000000)
    assert peer.endpoint == "[2001:db8::1]:9"
    assert (other.preshared_key, other.endpoint, other.allowed_ips, other.last_handshake) == (None, None, (), 0)


def test_a_device_without_settings_has_an_empty_dump() -> None:
    reply = uapi.parse_get(b"errno=0\n\n")
    assert (reply.private_key, reply.listen_port, reply.peers) == (None, 0, {})


@pytest.mark.parametrize("code", [b"-98", b"98"])
def test_an_error_has_its_number_whatever_the_sign(code: bytes) -> None:
    with pytest.raises(uapi.UapiError, match="EADDRINUSE") as caught:
        uapi.check(b"errno=" + code + b"\n\n")
    assert caught.value.code == 98


@given(st.binary(max_size=200))
def test_nonsense_is_an_error_that_does_not_quote_it(reply: bytes) -> None:
    with pytest.raises(uapi.UapiError, match="not understood"):
        uapi.parse_get(reply.replace(b"errno=", b"") + SECRET.encode())


def test_a_reply_with_a_broken_peer_is_not_understood() -> None:
    with pytest.raises(uapi.UapiError, match="not understood") as caught:
        uapi.parse_get(f"public_key={HEX[:-1]}\nerrno=0\n\n".encode())
    assert HEX[:20] not in str(caught.value)


def test_no_secret_is_in_a_repr() -> None:
    reply = uapi.parse_get(
        f"private_key={'73' * 32}\npublic_key={HEX}\npreshared_key={'73' * 32}\nerrno=0\n\n".encode()
    )
    assert SECRET not in repr(reply)


def test_ten_thousand_peers_are_read_in_far_less_than_a_second() -> None:
    peer = "preshared_key={0}\nlast_handshake_time_sec=1\ntx_bytes=2\nrx_bytes=3\nallowed_ip=10.0.0.1/32\n"
    text = "".join(f"public_key={number:064x}\n" + peer.format("73" * 32) for number in range(10_000))
    began = time.process_time()
    assert len(uapi.parse_get(f"{text}errno=0\n\n".encode()).peers) == 10_000
    assert time.process_time() - began < 1
