"""What the API server refuses: what holds for all kinds, address blocks, and what kubectl explains."""

import json
from collections.abc import Iterator

import pytest
from admission_objects import BLOCK, PEER, PLURALS, SERVER, Admission, Body, fields, spec_schema, with_value

from tools.controlplane import ControlPlane
from tools.lab import REPOSITORY, wait_for
from wireguard_operator.api.base import GROUP, VERSION
from wireguard_operator.api.crd import KINDS, manifest

BAD = [
    # object, path, value, what the user must read
    (PEER, "spec", None, "spec: Required value"),
    (PEER, "spec", [], "spec in body must be of type object"),
    (PEER, "metadata.name", "Alice", "lower case alphanumeric characters"),
    (PEER, "metadata.name", "a" * 64, "metadata.name: Too long: may not be more than 63"),
    (SERVER, "metadata.name", "b" * 64, "metadata.name: Too long: may not be more than 63"),
    (SERVER, "metadata.labels", {"tier": "not a value"}, "a valid label must be"),
    (SERVER, "status.uptime", 1, 'unknown field "status.uptime"'),
    (BLOCK, "spec.cidr", "10.8.0.1/25", "has host bits set"),
    (BLOCK, "spec.serverName", None, "spec.serverName: Required value"),
    (BLOCK, "spec.owner", "x", 'unknown field "spec.owner"'),
    (BLOCK, "spec.allocations", {f"10.8.0.{i}": {"uid": "u", "peer": "n/p"} for i in range(129)}, "at most 128"),
    (BLOCK, "spec.cooling", {"10.8.0.2": {"until": "soon", "peer": "n/p"}}, "must be of type date-time"),
]


@pytest.fixture(scope="module")
def admission(plane: ControlPlane) -> Iterator[Admission]:
    with Admission(plane) as admission:
        yield admission


@pytest.mark.parametrize("body", [SERVER, PEER, BLOCK], ids=lambda body: body["kind"])
def test_the_least_that_an_object_needs_is_accepted(admission: Admission, body: Body) -> None:
    assert admission.try_out(body)["metadata"]["name"] == body["metadata"]["name"]


@pytest.mark.parametrize(("body", "path", "value", "text"), BAD, ids=[f"{row[0]['kind']} {row[1]}" for row in BAD])
def test_a_bad_object_is_refused_with_a_helpful_text(
    admission: Admission, body: Body, path: str, value: object, text: str
) -> None:
    assert text in admission.refusal(with_value(body, path, value))


@pytest.mark.parametrize("kind", PLURALS)
def test_every_field_is_explained(admission: Admission, kind: str) -> None:
    """``kubectl explain`` shows what stands in the API server's OpenAPI document."""
    wanted = {path: field.get("description", "") for path, field in fields(spec_schema(kind))}
    assert all(wanted.values()), [path for path, text in wanted.items() if not text]

    def is_published() -> bool:
        document = json.loads(admission.plane.kubectl("get", "--raw", f"/openapi/v3/apis/{GROUP}/{VERSION}"))
        schema = document["components"]["schemas"][f"io.dotmac.wireguard.{VERSION}.{kind}"]
        return {path: field["description"] for path, field in fields(schema["properties"]["spec"])} == wanted

    wait_for(f"the descriptions of {kind} to be published", is_published)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("wgp.spec.suspensions", "Locks on the tunnel by reason"),
        ("wgp.spec.serverSelector", "the least utilised server"),
        ("wgs.spec.networks", "Address pools of the tunnel"),
        ("wgs.spec.maintenance.drain", "Move the peers"),
    ],
)
def test_kubectl_explains_a_field(admission: Admission, path: str, text: str) -> None:
    wait_for(f"{path} to be explained", lambda: text in admission.plane.kubectl("explain", path))


def test_the_generated_files_are_those_of_the_models() -> None:
    for kind in KINDS:
        assert (REPOSITORY / "crds" / f"{kind.crd_name}.yaml").read_text() == manifest(kind), "run `make generate`"
