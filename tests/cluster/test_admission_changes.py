"""Changes that the API server refuses, and the sentence it says."""

import json
from base64 import b64encode
from collections.abc import Iterator

import pytest
from admission_objects import BLOCK, PEER, SERVER, Admission, Body, with_value

from tools.controlplane import ControlPlane
from tools.controlplane.plane import ControlPlaneError

KEY = b64encode(b"k" * 32).decode()
RAISED = 'spec.keyGeneration: Invalid value: "integer": can only be raised: keys that were replaced do not come back'
EXTERNAL = "cannot be changed once it is set: foreign systems know the peer by it"
EITHER = "needs either serverRef, to name the server, or serverSelector, to have one chosen"
BLOCK_STAYS = "a block stays the block of its server and slice"

BAD = [
    # object, what its spec has beside the least, merge patch of the spec, what the user must read
    (PEER, {"keyGeneration": 2}, {"keyGeneration": 1}, RAISED),
    (PEER, {"keyGeneration": 2}, {"keyGeneration": 0}, RAISED),
    (PEER, {"keyGeneration": 1}, {"keyGeneration": None}, RAISED),
    (PEER, {"subscriber": {"externalId": "a"}}, {"subscriber": {"externalId": "b"}}, EXTERNAL),
    (PEER, {"subscriber": {"externalId": "a"}}, {"subscriber": {"externalId": "A"}}, EXTERNAL),
    (PEER, {"subscriber": {"externalId": "a"}}, {"subscriber": {"externalId": None}}, EXTERNAL),
    (PEER, {"subscriber": {"externalId": "a"}}, {"subscriber": None}, EXTERNAL),
    (PEER, {}, {"serverSelector": {}}, EITHER),
    (PEER, {}, {"serverRef": None}, EITHER),
    (PEER, {"publicKey": KEY}, {"privateKeySecretRef": {"name": "k"}}, "to import one, not both"),
    (PEER, {"presharedKey": {"secretRef": {"name": "k"}}}, {"presharedKey": {"policy": "Never"}}, "remove one of them"),
    (SERVER, {"keyGeneration": 2}, {"keyGeneration": 1}, RAISED),
    (SERVER, {"keyGeneration": 1}, {"keyGeneration": None}, RAISED),
    (SERVER, {"reserved": ["10.8.0.0/28"]}, {"networks": ["10.9.0.0/24"]}, "every entry must lie inside one of"),
    (SERVER, {"maintenance": {"enabled": True, "drain": True}}, {"maintenance": {"enabled": False}},
     "drain needs enabled: true; a server is drained only during maintenance"),
    (SERVER, {"allowedNamespaces": {"from": "Selector", "selector": {}}}, {"allowedNamespaces": {"from": "All"}},
     "selector goes with from: Selector, and only with it"),
    (BLOCK, {}, {"serverName": "munich"}, BLOCK_STAYS),
    (BLOCK, {}, {"cidr": "10.8.0.128/25"}, BLOCK_STAYS),
    (BLOCK, {}, {"cidr": None}, "spec.cidr: Required value"),
]  # fmt: skip

GOOD = [
    (PEER, {}, {"keyGeneration": 1}),
    (PEER, {"keyGeneration": 1}, {"keyGeneration": 1, "enabled": False}),
    (PEER, {}, {"subscriber": {"externalId": "a"}}),
    (PEER, {"subscriber": {"externalId": "a"}}, {"subscriber": {"customerId": "b"}}),
    (PEER, {"subscriber": {"customerId": "a"}}, {"subscriber": None}),
    (PEER, {}, {"serverRef": {"name": "munich"}}),
    (PEER, {}, {"serverRef": None, "serverSelector": {}}),
    (PEER, {"publicKey": KEY}, {"publicKey": None, "privateKeySecretRef": {"name": "k"}}),
    (PEER, {"suspensions": [{"reason": "abuse"}]}, {"suspensions": []}),
    (SERVER, {}, {"keyGeneration": 1}),
    (SERVER, {}, {"networks": ["10.8.0.0/23", "fd00:8::/64"]}),
    (SERVER, {}, {"endpoint": {"host": "2001:db8::1"}}),
    (BLOCK, {}, {"allocations": {"10.8.0.2": {"uid": "7f0c", "peer": "isp/alice"}}}),
]


@pytest.fixture(scope="module")
def admission(plane: ControlPlane) -> Iterator[Admission]:
    with Admission(plane) as admission:
        yield admission


@pytest.mark.parametrize(
    ("body", "before", "patch", "text"), BAD, ids=[f"{row[0]['kind']} {json.dumps(row[2])}" for row in BAD]
)
def test_a_bad_change_is_refused_with_a_helpful_text(
    admission: Admission, body: Body, before: Body, patch: Body, text: str
) -> None:
    created = admission.create(with_value(body, "spec", {**body["spec"], **before}))
    assert text in admission.refusal_of_change(created, patch)


@pytest.mark.parametrize(
    ("body", "before", "patch"), GOOD, ids=[f"{row[0]['kind']} {json.dumps(row[2])}" for row in GOOD]
)
def test_a_good_change_is_accepted(admission: Admission, body: Body, before: Body, patch: Body) -> None:
    created = admission.create(with_value(body, "spec", {**body["spec"], **before}))
    assert admission.change(created, patch)["spec"] != created["spec"]


def test_kubectl_shows_what_the_api_server_says(admission: Admission) -> None:
    def apply(external_id: str) -> str:
        body = with_value(PEER, "spec.subscriber.externalId", external_id)
        return admission.plane.kubectl("-n", admission.namespace, "apply", "-f", "-", stdin=json.dumps(body))

    assert "created" in apply("4711")
    with pytest.raises(ControlPlaneError, match=rf"spec\.subscriber\.externalId: .*: {EXTERNAL}"):
        apply("4712")
