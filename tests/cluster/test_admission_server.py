"""What the API server refuses of a WireGuardServer, and the sentence it says."""

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
    SERVER,
    Admission,
    Body,
    fields,
    paths,
    spec_schema,
    with_value,
)

from tools.controlplane import ControlPlane
from wireguard_operator.api.server import WireGuardServer

HOST = "without port or brackets"
REACH = "is no address that subscribers can reach"
UNICAST = "must be unicast addresses, not loopback, link-local, multicast or 0.0.0.0"
SELECTOR = "selector goes with from: Selector, and only with it"
URL = "must be the https URL on which the controller reaches the agent"
LINE = "must be one line of text without control characters"
TEXT = "must be text without control characters other than tab and line breaks"
SYSTEM = "must be the https URL of the system, without user or query, e.g. https://vpn.example.net"
EASY = {
    "type": "WGEasy",
    "wgEasy": {"url": "https://vpn.example.net"},
    "credentialsSecretRef": {"name": "login"},
    "degradations": ["Access", "Limits", "Routes", "Addresses", "PresharedKey", "Client"],
}
ZONE = {
    "type": "Firezone",
    "firezone": {"url": "https://[2001:db8::1]:8081/api", "edition": "Legacy", "group": "Subscribers"},
    "credentialsSecretRef": {"name": "login"},
}
FOREIGN = {"networks": ["10.8.0.0/24"], "dataPlane": EASY}
FAMILY = "may hold one IPv4 and one IPv6 network, not two of one family"

BAD = [
    # path, value, what the user must read
    ("spec.network", ["10.8.0.0/24"], 'unknown field "spec.network"'),
    ("spec.location.zip", "10115", 'unknown field "spec.location.zip"'),
    ("spec.endpoint", "vpn.example.net", "spec.endpoint in body must be of type object"),
    ("spec.endpoint.host", None, "spec.endpoint.host: Required value"),
    ("spec.endpoint.host", "", "at least 1 chars long"),
    ("spec.endpoint.host", "vpn.example.net:51820", HOST),
    ("spec.endpoint.host", "https://vpn.example.net", HOST),
    ("spec.endpoint.host", "VPN.example.net", "a DNS name in lower case"),
    ("spec.endpoint.host", "vpn_1.example.net", HOST),
    ("spec.endpoint.host", "[2001:db8::1]", HOST),
    ("spec.endpoint.host", "2001:db8::1%eth0", HOST),
    ("spec.endpoint.host", "::ffff:192.0.2.1", HOST),
    ("spec.endpoint.host", "192.0.2.256", HOST),
    ("spec.endpoint.host", "192.0.2", HOST),
    ("spec.endpoint.host", "a" * 64 + ".net", HOST),
    ("spec.endpoint.host", "a." * 127 + "net", "may not be more than 253"),
    ("spec.endpoint.host", "0.0.0.0", REACH),
    ("spec.endpoint.host", "::", REACH),
    ("spec.endpoint.host", "224.0.0.1", REACH),
    ("spec.endpoint.host", "255.255.255.255", REACH),
    ("spec.endpoint.host", "fe80::1", REACH),
    ("spec.endpoint.port", 0, "greater than or equal to 1"),
    ("spec.endpoint.port", 65536, "less than or equal to 65535"),
    ("spec.listenPort", 70000, "less than or equal to 65535"),
    ("spec.listenPort", -1, "greater than or equal to 1"),
    ("spec.listenPort", "51820", "must be of type integer"),
    ("spec.networks", None, "spec.networks: Required value"),
    ("spec.networks", [], "at least 1 item"),
    ("spec.networks", "10.8.0.0/24", "must be of type array"),
    ("spec.networks", ["10.8.0.0"], "CIDR notation"),
    ("spec.networks", ["10.8.0.0/33"], "CIDR notation"),
    ("spec.networks", ["10.08.0.0/24"], "CIDR notation"),
    ("spec.networks", ["10.8.0.0/255.255.255.0"], "CIDR notation"),
    ("spec.networks", ["fd00::%eth0/64"], "CIDR notation"),
    ("spec.networks", ["::ffff:10.8.0.0/120"], "CIDR notation"),
    ("spec.networks", ["10.8.0.5/24"], "has host bits set"),
    ("spec.networks", ["fd00::1/64"], "has host bits set"),
    ("spec.networks", ["10.8.0.0/31"], "at most /30 for IPv4"),
    ("spec.networks", ["fd00::/127"], "/126 for IPv6"),
    ("spec.networks", ["10.0.0.0/7"], "at least /8 for IPv4"),
    ("spec.networks", ["fc00::/7"], "/32 for IPv6"),
    ("spec.networks", ["0.0.0.0/0"], "not half the Internet"),
    ("spec.networks", ["127.0.0.0/8"], UNICAST),
    ("spec.networks", ["169.254.0.0/16"], UNICAST),
    ("spec.networks", ["224.0.0.0/8"], UNICAST),
    ("spec.networks", ["0.0.0.0/8"], UNICAST),
    ("spec.networks", ["::/96"], UNICAST),
    ("spec.networks", ["fe80::/64"], UNICAST),
    ("spec.networks", ["ff02::/64"], UNICAST),
    ("spec.networks", ["10.8.0.0/24", "10.8.0.0/24"], 'spec.networks[1]: Duplicate value: "10.8.0.0/24"'),
    ("spec.networks", ["10.8.0.0/24", "10.9.0.0/24"], FAMILY),
    ("spec.networks", ["fd00:8::/64", "fd00:9::/64"], FAMILY),
    ("spec.networks", ["10.8.0.0/24", "fd00:8::/64", "fd00:9::/64"], "at most 2 items"),
    ("spec.reserved", ["10.9.0.0/28"], "spec.reserved: "),
    ("spec.reserved", ["10.8.0.0/23"], "every entry must lie inside one of the networks"),
    ("spec.reserved", ["fd00:8::/120"], "every entry must lie inside one of the networks"),
    ("spec.reserved", ["10.8.0.1"], "CIDR notation"),
    ("spec.reserved", ["10.8.0.1/28"], "has host bits set"),
    ("spec.reserved", ["10.8.0.0/28", "10.8.0.0/28"], "spec.reserved[1]: Duplicate value"),
    ("spec.reserved", [f"10.8.0.{i}/32" for i in range(65)], "at most 64 items"),
    ("spec.maxPeers", 0, "greater than or equal to 1"),
    ("spec.maxPeers", 70000, "less than or equal to 65536"),
    ("spec.maxPeers", 1.5, "must be of type integer"),
    ("spec.allowedNamespaces", {"from": "Selector"}, SELECTOR),
    ("spec.allowedNamespaces", {"selector": {}}, SELECTOR),
    ("spec.allowedNamespaces", {"from": "All", "selector": {}}, SELECTOR),
    ("spec.allowedNamespaces.from", "Any", 'supported values: "Same", "All", "Selector"'),
    (
        "spec.allowedNamespaces",
        {"from": "Selector", "selector": {"matchLabels": {"a b": ""}}},
        "every key must be the key of a label",
    ),
    ("spec.enabled", "yes", "must be of type boolean"),
    ("spec.maintenance", {"drain": True}, "drain needs enabled: true"),
    ("spec.maintenance", {"enabled": False, "drain": True}, "drain needs enabled: true"),
    ("spec.maintenance.message", "x" * 1025, "may not be more than 1024"),
    ("spec.location.country", "de", "a country code of two capital letters, e.g. DE"),
    ("spec.location.country", "DEU", "a country code of two capital letters, e.g. DE"),
    ("spec.location.country", "Germany", "a country code of two capital letters, e.g. DE"),
    ("spec.location.latitude", 90.5, "less than or equal to 90"),
    ("spec.location.latitude", -91, "greater than or equal to -90"),
    ("spec.location.longitude", 180.5, "less than or equal to 180"),
    ("spec.location.longitude", -181, "greater than or equal to -180"),
    ("spec.location.latitude", "52.5 N", "must be of type number"),
    ("spec.location.name", "x" * 129, "may not be more than 128"),
    ("spec.privateKeySecretRef", {}, "spec.privateKeySecretRef.name: Required value"),
    ("spec.privateKeySecretRef", {"name": "k", "key": "private key"}, "must be a key of a Secret's data"),
    ("spec.keyGeneration", -1, "greater than or equal to 0"),
    ("spec.keyGeneration", 2**31, "less than or equal to 2147483647"),
    ("spec.dns", ["9.9.9.9", "9.9.9.9"], 'spec.dns[1]: Duplicate value: "9.9.9.9"'),
    ("spec.dns", ["not a name"], "address of a DNS server or a search domain"),
    ("spec.dns", ["9.9.9.9, 1.1.1.1"], "address of a DNS server or a search domain"),
    ("spec.dns", ["9.9.9.999"], "address of a DNS server or a search domain"),
    ("spec.dns", [f"9.9.9.{i}" for i in range(9)], "at most 8 items"),
    ("spec.mtu", 1279, "greater than or equal to 1280"),
    ("spec.mtu", 9001, "less than or equal to 9000"),
    ("spec.clientAllowedIPs", ["0.0.0.0/0", "0.0.0.0/0"], "spec.clientAllowedIPs[1]: Duplicate value"),
    ("spec.clientAllowedIPs", ["10.0.0.1/8"], "has host bits set"),
    ("spec.persistentKeepalive", -1, "greater than or equal to 0"),
    ("spec.persistentKeepalive", 65536, "less than or equal to 65535"),
    ("spec.endpoint", None, "is needed for type: Host"),
    ("spec.dataPlane.type", "Cloud", 'supported values: "Pod", "Host"'),
    ("spec.dataPlane.type", "Pod", "host goes with type: Host"),
    ("spec.dataPlane", {"type": "Host"}, "host goes with type: Host, which needs it"),
    ("spec.dataPlane.implementation", "Hardware", 'supported values: "Auto", "Kernel", "Userspace"'),
    ("spec.dataPlane.service", {"type": "NodePort"}, "are about pods and go with type: Pod"),
    ("spec.dataPlane.replicas", 2, "are about pods and go with type: Pod"),
    ("spec.dataPlane", {"replicas": 3}, "less than or equal to 2"),
    ("spec.dataPlane", {"service": {"type": "ClusterIP", "nodePort": 30000}}, "nodePort goes with"),
    (
        "spec.dataPlane",
        {"service": {"type": "ClusterIP", "externalTrafficPolicy": "Local"}},
        "externalTrafficPolicy goes",
    ),
    ("spec.dataPlane", {"service": {"type": "NodePort", "loadBalancerClass": "x"}}, "go with type: LoadBalancer"),
    ("spec.dataPlane", {"service": {"externalTrafficPolicy": "Nearest"}}, 'supported values: "Cluster", "Local"'),
    ("spec.dataPlane", {"service": {"nodePort": 70000}}, "less than or equal to 65535"),
    ("spec.dataPlane", {"tolerations": [{"operator": "Like"}]}, 'supported values: "Exists", "Equal"'),
    ("spec.egress", {"masquerade": "yes"}, "must be of type boolean"),
    ("spec.dataPlane.host.url", "http://192.0.2.1", URL),
    ("spec.dataPlane.host.url", "192.0.2.1:8443", URL),
    ("spec.dataPlane.host.url", "https://", URL),
    ("spec.dataPlane.host.url", "https://192.0.2.1:99999", URL),
    ("spec.dataPlane.host.url", "https://fd00::1:8443", URL),
    ("spec.dataPlane.host.url", "https://noc:secret@192.0.2.1:8443", "without user or query"),
    ("spec.dataPlane.host.url", "https://192.0.2.1:8443/?debug=1", "without user or query"),
    ("spec.dataPlane.host.tlsSecretRef.name", "Not a name", "lower-case letters"),
    ("spec.dataPlane.host", {}, "needs either url, where the controller reaches the agent, or dial: true"),
    ("spec.dataPlane.host.dial", True, "needs either url, where the controller reaches the agent, or dial: true"),
    ("spec.dataPlane.host", {"dial": False}, "needs either url"),
    ("spec.dataPlane", {**EASY, "wgEasy": None}, "wgEasy goes with type: WGEasy, which needs it: its URL"),
    ("spec.dataPlane", {**EASY, "type": "Firezone"}, "wgEasy goes with type: WGEasy"),
    ("spec.dataPlane", {**ZONE, "firezone": None}, "firezone goes with type: Firezone, which needs it"),
    ("spec.dataPlane", {**EASY, "credentialsSecretRef": None}, "need it: the Secret to log in with"),
    ("spec.dataPlane.credentialsSecretRef", {"name": "login"}, "credentialsSecretRef goes with type: WGEasy or"),
    ("spec.dataPlane.degradations", ["Limits"], "degradations go with type: WGEasy or Firezone"),
    ("spec.dataPlane", {**EASY, "degradations": ["Speed"]}, 'supported values: "Access", "Limits"'),
    ("spec.dataPlane", {**EASY, "service": {"type": "NodePort"}}, "are about pods and go with type: Pod"),
    ("spec.dataPlane", {**EASY, "wgEasy": {"url": "http://vpn.example.net"}}, SYSTEM),
    ("spec.dataPlane", {**EASY, "wgEasy": {"url": "https://admin:secret@vpn.example.net"}}, SYSTEM),
    (
        "spec.dataPlane",
        {**ZONE, "firezone": {"url": "https://f.example.net", "edition": "2"}},
        '"Auto", "Legacy", "Cur',
    ),
    ("spec.dataPlane", {**ZONE, "firezone": {"url": "https://f.example.net", "group": "a\nb"}}, LINE),
    ("spec", {**FOREIGN, "limits": {"download": "10M"}}, "wg-easy and Firezone cannot enforce them"),
    ("spec", {**FOREIGN, "access": []}, "wg-easy and Firezone cannot enforce them"),
    ("spec", {**FOREIGN, "walledGarden": {}}, "wg-easy and Firezone cannot enforce them"),
    ("spec", {**FOREIGN, "throttle": {"bandwidth": "128k"}}, "wg-easy and Firezone cannot enforce them"),
    ("spec", {**FOREIGN, "egress": {"isolation": True}}, "keep their own key and route themselves"),
    ("spec", {**FOREIGN, "privateKeySecretRef": {"name": "k"}}, "keep their own key and route themselves"),
    ("spec", {**FOREIGN, "keyGeneration": 1}, "keep their own key and route themselves"),
    *[(f"spec.location.{part}", text, LINE) for part in ("name", "region", "city", "provider") for text in NO_LINE],
    *[("spec.maintenance.message", text, TEXT) for text in NO_TEXT],
    *BAD_ACCESS,
    ("spec.walledGarden", {"allow": ["portal.example.net"]}, "must be a network in CIDR notation"),
    ("spec.walledGarden", {"allow": [f"192.0.2.{i}/32" for i in range(65)]}, "at most 64 items"),
    ("spec.throttle", {}, "spec.throttle.bandwidth: Required value"),
    ("spec.throttle", {"bandwidth": "slow"}, "must be bits per second as a quantity from 8k to 100G"),
    *BAD_LIMITS,
]

FULL: Body = {
    "endpoint": {"host": "vpn.example.net", "port": 443},
    "listenPort": 51821,
    "networks": ["10.8.0.0/16", "fd00:8::/64"],
    "reserved": ["10.8.0.0/28", "fd00:8::/120"],
    "maxPeers": 65536,
    "allowedNamespaces": {
        "from": "Selector",
        "selector": {
            "matchLabels": {"example.net/tenant": "reseller", "tier": ""},
            "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["test", ""]}],
        },
    },
    "enabled": True,
    "maintenance": {"enabled": True, "drain": True, "message": "new disk\n\tuntil noon \N{HIGH VOLTAGE SIGN}"},
    "location": {
        "name": "Zürich",
        "country": "CH",
        "region": "eu-central-2",
        "city": "Zürich",
        "provider": "Example AG",
        "latitude": 47.37,
        "longitude": -180,
    },
    "privateKeySecretRef": {"name": "server-key", "key": "privateKey"},
    "keyGeneration": 2147483647,
    "dns": ["9.9.9.9", "2620:fe::9", "corp.example", "lan"],
    "mtu": 1280,
    "clientAllowedIPs": ["0.0.0.0/0", "::/0"],
    "persistentKeepalive": 0,
    "egress": {"masquerade": True, "isolation": True},
    "access": ACCESS,
    "limits": LIMITS,
    "walledGarden": {"allow": ["192.0.2.80/32", "2001:db8::80/128"]},
    "throttle": {"bandwidth": "128k"},
    "dataPlane": {
        "type": "Host",
        "host": {"url": "https://agent.example.net:8443", "dial": False, "tlsSecretRef": {"name": "berlin-tls"}},
    },
}

FULL_POD = {
    "type": "Pod",
    "implementation": "Userspace",
    "service": {
        "type": "LoadBalancer",
        "annotations": {"example.net/pool": "vpn"},
        "externalTrafficPolicy": "Local",
        "nodePort": 30820,
        "loadBalancerClass": "example.net/lb",
        "loadBalancerSourceRanges": ["0.0.0.0/0", "::/0"],
    },
    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    "nodeSelector": {"vpn": "yes"},
    "tolerations": [
        {"key": "vpn", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60}
    ],
    "image": "registry.example.net/wireguard-operator:1.0",
    "ipv6Forwarding": True,
    "replicas": 2,
}

GOOD = [
    ("spec.dataPlane.host", {"dial": True}),
    *GOOD_ACCESS,
    ("spec.walledGarden", {}),
    *GOOD_LIMITS,
    ("spec", FULL),
    ("spec.networks", ["10.8.0.0/30"]),
    ("spec.networks", ["10.0.0.0/8"]),
    ("spec.networks", ["fd00:8::/126"]),
    ("spec.networks", ["fd00::/32"]),
    ("spec.networks", ["FD00:8:0::/64", "10.8.0.0/24"]),
    ("spec.networks", ["100.64.0.0/10"]),
    ("spec.reserved", ["10.8.0.0/24"]),
    ("spec.reserved", [f"10.8.0.{i}/32" for i in range(64)]),
    ("spec.endpoint.host", "2001:db8::1"),
    ("spec.endpoint.host", "192.0.2.1"),
    ("spec.endpoint.host", "localhost"),
    ("spec.endpoint.host", "1.pool.ntp-2.xn--p1ai"),
    ("spec.allowedNamespaces", {}),
    ("spec.allowedNamespaces", {"from": "All"}),
    ("spec.allowedNamespaces", {"from": "Selector", "selector": {}}),
    ("spec.maintenance", {"enabled": True}),
    ("spec.location", {}),
    ("spec.mtu", None),
    ("spec.dataPlane", {"type": "Host", "host": {"url": "https://[2001:db8::1]:8443/"}}),
    ("spec.dataPlane", {"type": "Host", "host": {"url": "https://agent.example.net"}}),
    ("spec.dataPlane", None),
    ("spec.dataPlane", FULL_POD),
    ("spec", FOREIGN),
    ("spec", {"networks": ["10.8.0.0/24"], "dataPlane": ZONE}),
    ("spec.dataPlane", {"resources": {"limits": {"cpu": 2, "memory": "1.5Gi"}}}),
]


@pytest.fixture(scope="module")
def admission(plane: ControlPlane) -> Iterator[Admission]:
    with Admission(plane) as admission:
        yield admission


@pytest.mark.parametrize(("path", "value", "text"), BAD, ids=[row[0] for row in BAD])
def test_a_bad_server_is_refused_with_a_helpful_text(admission: Admission, path: str, value: object, text: str) -> None:
    assert text in admission.refusal(with_value(SERVER, path, value))


@pytest.mark.parametrize(("path", "value"), GOOD, ids=[row[0] for row in GOOD])
def test_a_good_server_is_accepted_and_understood(admission: Admission, path: str, value: object) -> None:
    assert WireGuardServer.model_validate(admission.try_out(with_value(SERVER, path, value)))


def test_the_full_server_has_every_field() -> None:
    assert {path for path, _ in fields(spec_schema("WireGuardServer"))} <= {
        *paths(FULL),
        *paths({"dataPlane": FULL_POD}),
        *paths({"dataPlane": EASY}),
        *paths({"dataPlane": ZONE}),
    }
