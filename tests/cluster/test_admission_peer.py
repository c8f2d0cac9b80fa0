"""What the API server refuses of a WireGuardPeer, and the sentence it says."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator

import pytest
from admission_objects import (
    ACCESS,
    BAD_ACCESS,
    BAD_LIMITS,
    GOOD_ACCESS,
    GOOD_LIMITS,
    LIMITS,
    NO_LINE,
    NO_TEXT,
    PEER,
    Admission,
    Body,
    fields,
    paths,
    spec_schema,
    with_value,
)

from tools.controlplane import ControlPlane
from wireguard_operator.api.peer import WireGuardPeer

KEY = b64encode(b"k" * 32).decode()
KEY_TEXT = "must be a WireGuard public key: 32 bytes in base64"
SERVER_TEXT = "needs either serverRef, to name the server, or serverSelector, to have one chosen"
VALUES = "operators In and NotIn need values, Exists and DoesNotExist take none"
ADDRESS = "must be an IPv4 or IPv6 address without prefix length"
FAMILY = "may hold one IPv4 and one IPv6 address, not two of one family"
UNICAST = "must be unicast addresses, not loopback, link-local, multicast or 0.0.0.0"
TIME = "must be of type date-time"
TIME_RANGE = "must be a time in the form 2030-01-01T00:00:00Z, from 1970 to 9999"
LINE = "must be one line of text without control characters"
TEXT = "must be text without control characters other than tab and line breaks"
ORDER = "must end after it begins: until is not later than since"


def selecting(**selector: object) -> Body:
    return {"serverSelector": selector}


def requiring(**requirement: object) -> Body:
    return selecting(matchExpressions=[requirement])


BAD = [
    # path, value, what the user must read
    ("spec.publickey", KEY, 'unknown field "spec.publickey"'),
    ("spec.client.DNS", ["9.9.9.9"], 'unknown field "spec.client.DNS"'),
    ("spec", {}, SERVER_TEXT),
    ("spec", {"serverRef": {"name": "berlin"}, "serverSelector": {}}, SERVER_TEXT),
    ("spec.serverRef", None, SERVER_TEXT),
    ("spec.serverRef", {}, "spec.serverRef.name: Required value"),
    ("spec.serverRef", "berlin", "spec.serverRef in body must be of type object"),
    ("spec.serverRef.name", "", "at least 1 chars long"),
    ("spec.serverRef.name", "Berlin!", "lower-case letters"),
    ("spec.serverRef.name", "b" * 254, "may not be more than 253"),
    ("spec.serverRef.namespace", "The_ISP", "lower-case letters"),
    ("spec", requiring(key="tier", operator="In"), VALUES),
    ("spec", requiring(key="tier", operator="NotIn", values=[]), VALUES),
    ("spec", requiring(key="tier", operator="Exists", values=["gold"]), VALUES),
    ("spec", requiring(key="tier", operator="DoesNotExist", values=["gold"]), VALUES),
    ("spec", requiring(key="tier", operator="in", values=["gold"]), 'supported values: "In", "NotIn", "Exists"'),
    ("spec", requiring(key="tier"), "operator: Required value"),
    ("spec", requiring(operator="Exists"), "key: Required value"),
    ("spec", requiring(key="-tier", operator="Exists"), "must be the key of a label"),
    ("spec", requiring(key="a/b/c", operator="Exists"), "must be the key of a label"),
    ("spec", requiring(key="tier", operator="In", values=["not a value"]), "must be the value of a label"),
    ("spec", selecting(matchLabels={"not a key": "x"}), "every key must be the key of a label"),
    ("spec", selecting(matchLabels={"": "x"}), "every key must be the key of a label"),
    ("spec", selecting(matchLabels={"tier": "gold!"}), "must be the value of a label"),
    ("spec", selecting(matchLabels={"tier": "x" * 64}), "may not be more than 63"),
    ("spec", selecting(matchLabels={"tier": 1}), "must be of type string"),
    ("spec", selecting(matchLabels={f"l{i}": "" for i in range(17)}), "at most 16 items"),
    ("spec", selecting(location={"country": "Germany"}), "a country code of two capital letters, e.g. DE"),
    ("spec", selecting(location={"latitude": 52}), 'unknown field "spec.serverSelector.location.latitude"'),
    ("spec.publicKey", "", KEY_TEXT),
    ("spec.publicKey", b64encode(b"k" * 31).decode(), KEY_TEXT),
    ("spec.publicKey", b64encode(b"k" * 33).decode(), KEY_TEXT),
    ("spec.publicKey", KEY[:-2] + "B=", KEY_TEXT),
    ("spec.publicKey", KEY[:-1], KEY_TEXT),
    ("spec.publicKey", KEY + "\n", KEY_TEXT),
    ("spec.publicKey", urlsafe_b64encode(b"\xff" * 32).decode(), KEY_TEXT),
    ("spec.publicKey", "6b" * 32, KEY_TEXT),
    ("spec.publicKey", "A" * 43 + "=", "the all-zero key is not a public key"),
    (
        "spec",
        {"serverSelector": {}, "publicKey": KEY, "privateKeySecretRef": {"name": "k"}},
        "or privateKeySecretRef, to import one, not both",
    ),
    ("spec.privateKeySecretRef", {}, "spec.privateKeySecretRef.name: Required value"),
    ("spec.privateKeySecretRef", {"name": "k", "key": "private/key"}, "must be a key of a Secret's data"),
    ("spec.presharedKey.policy", "Sometimes", 'supported values: "Auto", "Always", "Never"'),
    ("spec.presharedKey", {"secretRef": {}}, "spec.presharedKey.secretRef.name: Required value"),
    ("spec.presharedKey", {"policy": "Never", "secretRef": {"name": "k"}}, "policy Never takes no secretRef"),
    ("spec.keyGeneration", -1, "greater than or equal to 0"),
    ("spec.keyGeneration", 1.5, "must be of type integer"),
    ("spec.keyOverlapSeconds", -1, "greater than or equal to 0"),
    ("spec.keyOverlapSeconds", 2592001, "less than or equal to 2592000"),
    ("spec.keyOverlapSeconds", "24h", "must be of type integer"),
    ("spec.addresses", "10.8.0.2", "must be of type array"),
    ("spec.addresses", ["10.8.0.2/32"], ADDRESS),
    ("spec.addresses", ["10.8.0.02"], ADDRESS),
    ("spec.addresses", ["::ffff:10.8.0.2"], ADDRESS),
    ("spec.addresses", ["fd00::2%wg0"], ADDRESS),
    ("spec.addresses", ["[fd00::2]"], ADDRESS),
    ("spec.addresses", ["10.8.0.2", "10.8.0.2"], 'spec.addresses[1]: Duplicate value: "10.8.0.2"'),
    ("spec.addresses", ["10.8.0.2", "10.8.0.3"], FAMILY),
    ("spec.addresses", ["fd00::2", "fd00:0::2"], FAMILY),
    ("spec.addresses", ["10.8.0.2", "fd00::2", "fd00::3"], "at most 2 items"),
    ("spec.routes", ["192.168.1.1"], "CIDR notation"),
    ("spec.routes", ["192.168.1.1/24"], "has host bits set"),
    ("spec.routes", ["192.168.1.0/24", "192.168.1.0/24"], "spec.routes[1]: Duplicate value"),
    ("spec.routes", ["0.0.0.0/0"], "a route to everything (/0) cannot lie behind a peer"),
    ("spec.routes", ["::/0"], "a route to everything (/0) cannot lie behind a peer"),
    ("spec.routes", ["127.0.0.0/8"], UNICAST),
    ("spec.routes", ["169.254.169.254/32"], UNICAST),
    ("spec.routes", ["ff00::/8"], UNICAST),
    ("spec.routes", [f"192.168.{i}.0/24" for i in range(65)], "at most 64 items"),
    ("spec.enabled", "yes", "must be of type boolean"),
    ("spec.suspensions", "abuse", "must be of type array"),
    ("spec.suspensions", [{"reason": "abuse"}, {"reason": "abuse"}], "spec.suspensions[1]: Duplicate value"),
    ("spec.suspensions", [{"by": "noc"}], "spec.suspensions[0].reason: Required value"),
    (
        "spec.suspensions",
        [{"reason": "abuse", "mode": "Garden"}],
        'supported values: "Cut", "WalledGarden", "Throttle"',
    ),
    ("spec.suspensions", [{"reason": ""}], "at least 1 chars long"),
    ("spec.suspensions", [{"reason": "No payment"}], "e.g. non-payment or abuse"),
    ("spec.suspensions", [{"reason": "r" * 64}], "may not be more than 63"),
    ("spec.suspensions", [{"reason": f"r{i}"} for i in range(17)], "at most 16 items"),
    ("spec.suspensions", [{"reason": "abuse", "since": "now"}], TIME),
    ("spec.suspensions", [{"reason": "abuse", "until": "2026-01-01T00:00:00+25:00"}], TIME_RANGE),
    (
        "spec.suspensions",
        [{"reason": "abuse", "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}],
        f'spec.suspensions[0]: Invalid value: "object": {ORDER}',
    ),
    (
        "spec.suspensions",
        [{"reason": "abuse", "since": "2026-01-01T00:00:00Z", "until": "2026-01-01T01:00:00+01:00"}],
        ORDER,
    ),
    ("spec.expiresAt", "tomorrow", TIME),
    ("spec.expiresAt", "", TIME),
    ("spec.expiresAt", "2026-01-01", TIME),
    ("spec.expiresAt", "2026-01-01T00:00:00", TIME),
    ("spec.expiresAt", "2026-01-01 00:00:00Z", TIME),
    ("spec.expiresAt", "2026-02-30T00:00:00Z", TIME),
    ("spec.expiresAt", "2026-01-01T24:00:00Z", TIME),
    ("spec.expiresAt", "01.01.2026", TIME),
    ("spec.expiresAt", 1767225600, TIME),
    ("spec.expiresAt", "0001-01-01T00:00:00Z", TIME_RANGE),
    ("spec.expiresAt", "9999-12-31T23:59:59-12:00", TIME_RANGE),
    ("spec.expiresAt", "2026-01-01T00:00:00+02:99", TIME_RANGE),
    ("spec.expiresAt", "2026-01-01T00:00:00x5Z", TIME_RANGE),
    ("spec.subscriber", "4711", "spec.subscriber in body must be of type object"),
    ("spec.subscriber.customerId", 4711, "must be of type string"),
    ("spec.subscriber.externalId", "x" * 129, "may not be more than 128"),
    ("spec.client.dns", ["not a name"], "address of a DNS server or a search domain"),
    ("spec.client.dns", ["9.9.9.9", "9.9.9.9"], "spec.client.dns[1]: Duplicate value"),
    ("spec.client.allowedIPs", ["10.0.0.1"], "CIDR notation"),
    ("spec.client.allowedIPs", ["10.0.0.1/8"], "has host bits set"),
    ("spec.client.allowedIPs", ["10.0.0.0/8", "10.0.0.0/8"], "spec.client.allowedIPs[1]: Duplicate value"),
    ("spec.client.mtu", 576, "greater than or equal to 1280"),
    ("spec.client.mtu", 65535, "less than or equal to 9000"),
    ("spec.client.persistentKeepalive", 65536, "less than or equal to 65535"),
    ("spec.description", "x" * 1025, "may not be more than 1024"),
    *[
        (f"spec.subscriber.{id_}", text, LINE)
        for id_ in ("customerId", "subscriberId", "externalId")
        for text in NO_LINE
    ],
    *[("spec.suspensions", [{"reason": "abuse", "by": text}], LINE) for text in NO_LINE],
    *[("spec.suspensions", [{"reason": "abuse", "message": text}], TEXT) for text in NO_TEXT],
    *[("spec.description", text, TEXT) for text in NO_TEXT],
    *BAD_ACCESS,
    *BAD_LIMITS,
]

FULL: Body = {
    "serverRef": {"name": "berlin", "namespace": "isp"},
    "privateKeySecretRef": {"name": "alice-key", "key": "private_key.pem"},
    "presharedKey": {"policy": "Always", "secretRef": {"name": "alice-key", "key": "presharedKey"}},
    "keyGeneration": 2147483647,
    "keyOverlapSeconds": 0,
    "addresses": ["10.8.0.2", "fd00:8::2"],
    "routes": ["192.168.1.0/24", "fd00:1::/48", "192.0.2.7/32"],
    "access": ACCESS,
    "limits": LIMITS,
    "enabled": False,
    "suspensions": [
        {
            "reason": "non-payment",
            "mode": "WalledGarden",
            "since": "2026-01-01T00:00:00Z",
            "until": "2026-01-01T00:00:01.5+00:00",
            "by": "billing@example.net",
            "message": "invoice 2026-1042\r\n\tsecond reminder \N{HIGH VOLTAGE SIGN}",
        },
        {"reason": "abuse"},
    ],
    "expiresAt": "2030-01-01T00:00:00+05:30",
    "subscriber": {
        "customerId": "4711",
        "subscriberId": "Zürich 7",
        "externalId": "6f1a3c1e-0d5b-4d53-9a31-0e6c5b1f7a20",
    },
    "client": {
        "dns": ["2620:fe::9", "lan"],
        "allowedIPs": ["0.0.0.0/0", "::/0"],
        "mtu": 9000,
        "persistentKeepalive": 0,
    },
    "description": "home\n\toffice",
}
SELECTING: Body = {
    "serverSelector": {
        "matchLabels": {"example.net/tier": "gold", "beta": ""},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["gold", "silver"]},
            {"key": "example.net/old", "operator": "DoesNotExist"},
        ],
        "location": {"name": "Zürich", "country": "CH", "region": "ZH", "city": "Zürich", "provider": "Example AG"},
    },
    "publicKey": KEY,
}

GOOD = [
    *GOOD_ACCESS,
    *GOOD_LIMITS,
    ("spec", FULL),
    ("spec", SELECTING),
    ("spec", {"serverSelector": {}}),
    ("spec", {"serverSelector": {"location": {}}}),
    ("spec", requiring(key="tier", operator="Exists", values=None)),
    ("spec.publicKey", None),
    ("spec.publicKey", KEY),
    ("spec.presharedKey", {"policy": "Never"}),
    ("spec.presharedKey", {"secretRef": {"name": "k"}}),
    ("spec.addresses", ["fd00::2"]),
    ("spec.addresses", ["10.8.0.2"]),
    ("spec.routes", ["fd00:1::/48"]),
    ("spec.routes", [f"192.168.{i}.0/24" for i in range(64)]),
    ("spec.suspensions", []),
    ("spec.suspensions", [{"reason": f"r{i}", "message": "x" * 1024} for i in range(16)]),
    ("spec.expiresAt", "1970-01-01T00:00:00Z"),
    ("spec.expiresAt", "9999-12-31T23:59:59Z"),
    ("spec.expiresAt", "2026-01-01T00:00:00.123456789-12:00"),
    ("spec.client", {}),
    ("spec.client.dns", []),
]


@pytest.fixture(scope="module")
def admission(plane: ControlPlane) -> Iterator[Admission]:
    with Admission(plane) as admission:
        yield admission


@pytest.mark.parametrize(("path", "value", "text"), BAD, ids=[row[0] for row in BAD])
def test_a_bad_peer_is_refused_with_a_helpful_text(admission: Admission, path: str, value: object, text: str) -> None:
    assert text in admission.refusal(with_value(PEER, path, value))


@pytest.mark.parametrize(("path", "value"), GOOD, ids=[row[0] for row in GOOD])
def test_a_good_peer_is_accepted_and_understood(admission: Admission, path: str, value: object) -> None:
    assert WireGuardPeer.model_validate(admission.try_out(with_value(PEER, path, value)))


def test_the_full_peers_have_every_field() -> None:
    filled_in = {*paths(FULL), *paths(SELECTING)}
    assert {path for path, _ in fields(spec_schema("WireGuardPeer"))} <= filled_in
