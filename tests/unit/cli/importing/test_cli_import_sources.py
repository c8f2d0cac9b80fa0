"""What the sources of ``import`` read, and what they say of what they cannot read."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from wireguard_operator.cli.importing import live, wg_quick
from wireguard_operator.cli.importing.found import SourceError
from wireguard_operator.domain.keys import Hidden, pair_of


def key(seed: str) -> Hidden:
    """The same at every run: the names of tests are made from it."""
    return Hidden(b64encode(sha256(seed.encode()).digest()).decode())


SERVER, ALICE, BOB, CAROL = (pair_of(key(name)) for name in ("server", "alice", "bob", "carol"))
PRESHARED = key("preshared").reveal()
CONFIG = f"""\
[Interface]
# the first machine
Address = 10.8.0.1/24, fd08::1/64
ListenPort = 51820  # forwarded
PrivateKey = {SERVER.private.reveal()}
PostUp = iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE

### Client alice
[Peer]
PublicKey = {ALICE.public}
PresharedKey = {PRESHARED}
AllowedIPs = 10.8.0.2/32, fd08::2/128
AllowedIPs = 192.168.5.0/24

[peer]
# Name = Bob's router
publickey={BOB.public}
allowedips=10.8.0.3
persistentkeepalive=off
endpoint = 192.0.2.9:51820

# The comment of nobody

[Peer]
PublicKey = {CAROL.public}
PersistentKeepalive = 25
"""


def test_a_configuration_is_read_with_the_names_that_people_write_into_comments() -> None:
    device = wg_quick.read(CONFIG, "wg0.conf")
    assert device.private_key == SERVER.private
    assert (device.listen_port, device.mtu) == (51820, None)
    assert device.addresses == ("10.8.0.1/24", "fd08::1/64")
    alice, bob, carol = device.peers
    assert alice.public_key == ALICE.public and alice.name == "alice"
    assert alice.preshared_key is not None and alice.preshared_key.reveal() == PRESHARED
    assert alice.allowed_ips == ("10.8.0.2/32", "fd08::2/128", "192.168.5.0/24")
    assert (bob.name, bob.keepalive, bob.preshared_key) == ("Bob's router", 0, None)
    assert (carol.name, carol.keepalive, carol.allowed_ips) == ("", 25, ())
    assert device.ignored == ("postup", "endpoint")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ListenPort = 51820", "ListenPort = 70000", "wg0.conf:4: ListenPort = '70000' must be a number from 1 to"),
        (f"PrivateKey = {SERVER.private.reveal()}", "PrivateKey = hunter2", "wg0.conf:5: PrivateKey is not base64"),
        (f"PrivateKey = {SERVER.private.reveal()}\n", "", "wg0.conf:1: [Interface] has no PrivateKey"),
        ("ListenPort = 51820", "", "has no ListenPort"),
        ("10.8.0.2/32", "10.8.0.256/32", "wg0.conf:12: AllowedIPs: '10.8.0.256/32' is not an IP prefix"),
        (f"publickey={BOB.public}", "publickey", "neither a section nor a setting"),
        (f"publickey={BOB.public}", "", "wg0.conf:15: [Peer] has no PublicKey"),
        ("[Interface]", "[Network]", "section [Network]"),
        ("[peer]", "[Interface]", "a second [Interface]"),
        (CONFIG, "", "has no [Interface]"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named_with_its_line(old: str, new: str, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        wg_quick.read(CONFIG.replace(old, new), "wg0.conf")
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value) and SERVER.private.reveal() not in str(caught.value)


@pytest.mark.parametrize(
    "comment",
    [
        f"# PrivateKey = {ALICE.private.reveal()}",
        f"#PresharedKey={PRESHARED}",
        f"# alice {ALICE.private.reveal()}",
        f"### Client {ALICE.private.reveal()[:-1]}",
        "# AllowedIPs = 10.8.0.9/32",
        "# [Peer]",
    ],
)
def test_a_setting_that_is_commented_out_is_no_name_and_nor_is_a_key(comment: str) -> None:
    for old, new in (("### Client alice", comment), ("# Name = Bob's router", comment)):
        device = wg_quick.read(CONFIG.replace(old, new), "wg0.conf")
        names = {peer.name for peer in device.peers}
        assert "" in names and names <= {"alice", "Bob's router", ""}


def test_a_key_that_two_peers_have_is_told_with_both_lines() -> None:
    with pytest.raises(SourceError, match=r"wg0\.conf:15: a second \[Peer\] with the PublicKey of line 9"):
        wg_quick.read(CONFIG.replace(BOB.public, ALICE.public), "wg0.conf")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.conf cannot be read: No such file"):
        wg_quick.read_file(tmp_path / "none.conf")


DUMP = (
    f"{SERVER.private.reveal()}\t{SERVER.public}\t51820\toff\n"
    f"{ALICE.public}\t{PRESHARED}\t192.0.2.2:40000\t10.8.0.2/32,192.168.5.0/24\t1700000000\t1\t2\toff\n"
    f"{BOB.public}\t(none)\t(none)\t(none)\t0\t0\t0\t25\n"
)
LINKS = [
    {
        "mtu": 1380,
        "addr_info": [
            {"local": "10.8.0.1", "prefixlen": 24},
            {"local": "fd08::1", "prefixlen": 64},
            {"local": "fe80::1", "prefixlen": 64},
        ],
    }
]


def test_a_device_that_runs_is_read_without_its_link_local_address() -> None:
    device = live.parse("wg0", DUMP, LINKS)
    assert device.private_key == SERVER.private
    assert (device.listen_port, device.mtu, device.addresses) == (51820, 1380, ("10.8.0.1/24", "fd08::1/64"))
    alice, bob = device.peers
    assert alice.allowed_ips == ("10.8.0.2/32", "192.168.5.0/24") and alice.keepalive == 0
    assert alice.preshared_key is not None and alice.preshared_key.reveal() == PRESHARED
    assert (bob.allowed_ips, bob.preshared_key, bob.keepalive) == ((), None, 25)


@pytest.mark.parametrize("dump", ["", "Unable to access interface", DUMP.replace("\toff\n", "\n")])
def test_a_dump_that_is_none_is_not_quoted(dump: str) -> None:
    with pytest.raises(SourceError) as caught:
        live.parse("wg0", dump, LINKS)
    assert PRESHARED not in str(caught.value) and SERVER.private.reveal() not in str(caught.value)


def test_a_device_without_a_key_and_one_that_is_not_there_are_told() -> None:
    with pytest.raises(SourceError, match="no private key yet"):
        live.parse("wg0", "(none)\t(none)\t0\toff\n", LINKS)
    with pytest.raises(SourceError, match="wg show wgnothere dump"):
        live.read("wgnothere")
