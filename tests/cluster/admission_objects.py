"""Objects for the tests of admission, and what the API server says to them.

The API server is asked without kubectl, which takes longer to start than to ask: kubectl prints the same message.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from kubernetes import client, config

from tools.controlplane import ControlPlane
from tools.lab import REPOSITORY
from wireguard_operator.api.base import API_VERSION, GROUP, VERSION
from wireguard_operator.api.crd import KINDS, definition

Body = dict[str, Any]

SERVER: Body = {
    "apiVersion": API_VERSION,
    "kind": "WireGuardServer",
    "metadata": {"name": "berlin"},
    "spec": {
        "endpoint": {"host": "vpn.example.net"},
        "networks": ["10.8.0.0/24"],
        "dataPlane": {"type": "Host", "host": {"url": "https://192.0.2.1:8443"}},
    },
}
PEER: Body = {
    "apiVersion": API_VERSION,
    "kind": "WireGuardPeer",
    "metadata": {"name": "alice"},
    "spec": {"serverRef": {"name": "berlin"}},
}
BLOCK: Body = {
    "apiVersion": API_VERSION,
    "kind": "WireGuardAddressBlock",
    "metadata": {"name": "berlin-10-8-0-0"},
    "spec": {"serverName": "berlin", "cidr": "10.8.0.0/25", "allocations": {}, "cooling": {}},
}
NO_TEXT = ("a\0b", "a\x07b", "a\x1b[31mb", "a\x7fb", "a\x85b")
NO_LINE = (*NO_TEXT, "a\nb", "a\rb", "a\tb", "a\u2028b")
PLURALS = {kind.kind: kind.plural for kind in KINDS}


def with_value(body: Body, path: str, value: object) -> Body:
    """A copy of ``body`` with ``value`` in the place of ``path``; parents that are missing are made."""
    body = copy.deepcopy(body)
    place = body
    *parents, last = path.split(".")
    for part in parents:
        place = place.setdefault(part, {})
    place[last] = value
    return body


def spec_schema(kind: str) -> Body:
    """The generated schema of a kind's spec."""
    (crd,) = (definition(k) for k in KINDS if k.kind == kind)
    schema: Body = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def fields(schema: Body, path: str = "spec") -> Iterator[tuple[str, Body]]:
    """Every field of a schema with its path; entries of lists have the path of the list."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields(child, f"{path}.{name}")
    if "items" in schema:
        yield from fields(schema["items"], path)


def paths(value: object, path: str = "spec") -> Iterator[str]:
    """The paths of every field that a value fills in, as ``fields`` names them."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield f"{path}.{name}"
            yield from paths(child, f"{path}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from paths(child, path)


class Admission:
    """The API server as those meet it who make and change objects, in a namespace of its own."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.namespace = f"admission-{uuid.uuid4().hex[:8]}"
        self._stack = ExitStack()

    def __enter__(self) -> Admission:
        self.plane.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        self.plane.wait_for_definitions(*(kind.crd_name for kind in KINDS))
        self.plane.kubectl("create", "namespace", self.namespace)
        configuration = client.Configuration()
        config.load_kube_config(str(self.plane.kubeconfig), client_configuration=configuration)
        configuration.proxy = None
        self._api = client.CustomObjectsApi(self._stack.enter_context(client.ApiClient(configuration)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stack.close()
        self.plane.kubectl("-n", self.namespace, "delete", "wgp,wgs,wgab", "--all", "--wait=false")
        self.plane.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def try_out(self, body: Body) -> Body:
        """The object that creating ``body`` would make, with all defaults."""
        return self._create(body, dry_run="All")

    def refusal(self, body: Body) -> str:
        """Why ``body`` may not be created."""
        return _message(lambda: self.try_out(body))

    def create(self, body: Body) -> Body:
        """Create ``body`` under a new name, and return it with that name."""
        metadata = {"name": f"{body['metadata']['name']}-{uuid.uuid4().hex[:8]}"}
        return self._create({**body, "metadata": metadata})

    def change(self, body: Body, patch: Body) -> Body:
        """The object that a merge patch of the spec would make."""
        changed: Body = self._api.patch_namespaced_custom_object(
            GROUP, VERSION, self.namespace, PLURALS[body["kind"]], body["metadata"]["name"], {"spec": patch},
            dry_run="All", field_validation="Strict", _content_type="application/merge-patch+json",
        )  # fmt: skip
        return changed

    def refusal_of_change(self, body: Body, patch: Body) -> str:
        """Why a merge patch of the spec is refused."""
        return _message(lambda: self.change(body, patch))

    def _create(self, body: Body, **options: str) -> Body:
        created: Body = self._api.create_namespaced_custom_object(
            GROUP, VERSION, self.namespace, PLURALS[body["kind"]], body, field_validation="Strict", **options
        )
        return created


def _message(act: Callable[[], object]) -> str:
    try:
        act()
    except client.ApiException as refusal:
        message: str = json.loads(refusal.body)["message"]
    else:
        raise AssertionError("was accepted")
    for bare in ("should match", "failed rule"):
        assert bare not in message, "shows a regular expression or a rule instead of a sentence"
    return message


ACCESS: list[Body] = [
    {
        "to": ["192.0.2.0/24", "2001:db8::/32"],
        "ports": [{"protocol": "TCP", "port": 8000, "endPort": 8100}, {"protocol": "ICMP"}, {"port": 443}],
    },
    {"ports": [{"protocol": "UDP", "port": 53}]},
    {},
]
"""Access rules with every field."""

_CIDR = "must be a network in CIDR notation"
BAD_ACCESS = [
    ("spec.access", {}, "must be of type array"),
    ("spec.access", [{}] * 17, "at most 16 items"),
    ("spec.access", [{"from": []}], 'unknown field "spec.access[0].from"'),
    ("spec.access", [{"to": ["192.0.2.1"]}], _CIDR),
    ("spec.access", [{"to": ["example.net"]}], _CIDR),
    ("spec.access", [{"to": ["192.0.2.1/24"]}], "has host bits set"),
    ("spec.access", [{"to": ["::ffff:192.0.2.1/128"]}], _CIDR),
    ("spec.access", [{"to": ["192.0.2.0/24"] * 2}], "spec.access[0].to[1]: Duplicate value"),
    ("spec.access", [{"to": [f"192.0.2.{i}/32" for i in range(65)]}], "at most 64 items"),
    ("spec.access", [{"ports": [{"protocol": "GRE"}]}], 'supported values: "TCP", "UDP", "SCTP", "ICMP"'),
    ("spec.access", [{"ports": [{"protocol": "tcp"}]}], 'supported values: "TCP", "UDP", "SCTP", "ICMP"'),
    ("spec.access", [{"ports": [{"port": 0}]}], "greater than or equal to 1"),
    ("spec.access", [{"ports": [{"port": 65536}]}], "less than or equal to 65535"),
    ("spec.access", [{"ports": [{"protocol": "ICMP", "port": 8}]}], "ICMP has no ports"),
    ("spec.access", [{"ports": [{"endPort": 90}]}], "endPort needs port, and must not be less than it"),
    ("spec.access", [{"ports": [{"port": 90, "endPort": 80}]}], "endPort needs port, and must not be less than it"),
    ("spec.access", [{"ports": [{"port": i} for i in range(1, 66)]}], "at most 64 items"),
]
"""Access rules of peers and servers that are refused, and the sentence."""

GOOD_ACCESS = [
    ("spec.access", []),
    ("spec.access", ACCESS),
    (
        "spec.access",
        [
            {"to": [f"10.{r}.{i}.0/24" for i in range(64)], "ports": [{"port": i} for i in range(1, 65)]}
            for r in range(16)
        ],
    ),
]
"""Access rules that are taken."""

LIMITS: Body = {"download": "50M", "upload": 10_000_000, "burst": "256Ki"}
"""Limits with every field."""

_RATE = "must be bits per second as a quantity from 8k to 100G, e.g. 50M or 1G"
BAD_LIMITS = [
    ("spec.limits", "50M", "must be of type object"),
    ("spec.limits", {"rate": "50M"}, 'unknown field "spec.limits.rate"'),
    *(("spec.limits", {"download": value}, _RATE) for value in ("", "fast", "50 Mbit/s", "7k", 7999, "101G", "-1M")),
    ("spec.limits", {"upload": "0"}, _RATE),
    ("spec.limits", {"burst": "63Ki"}, "must be bytes as a quantity from 64Ki to 1Gi, e.g. 256Ki"),
    ("spec.limits", {"burst": "2Gi"}, "must be bytes as a quantity from 64Ki to 1Gi, e.g. 256Ki"),
]
"""Limits of peers and servers that are refused, and the sentence."""

GOOD_LIMITS = [
    ("spec.limits", {}),
    ("spec.limits", LIMITS),
    ("spec.limits", {"download": "8k", "upload": "100G", "burst": 65536}),
    ("spec.limits", {"download": "1.5M", "upload": "2e6", "burst": "1Gi"}),
]
"""Limits that are taken."""
