"""What kstatus reads into the statuses that the operator writes, on objects made by hand.

The other tests rely on these answers when they ask it about real objects.
"""

import json
import subprocess
from typing import Any

import pytest
from kstatus import kstatus

from tools.controlplane import find_or_build


def peer(status: dict[str, Any] | None, *, generation: int = 1, name: str = "alice", **metadata: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "apiVersion": "wireguard.dotmac.io/v1alpha1",
        "kind": "WireGuardPeer",
        "metadata": {"name": name, "namespace": "isp", "generation": generation, **metadata},
        "spec": {"serverRef": {"name": "berlin"}},
    }
    return found if status is None else {**found, "status": status}


def observed(generation: int, **conditions: str) -> dict[str, Any]:
    """A status that speaks of ``generation``, with these conditions."""
    return {
        "observedGeneration": generation,
        "conditions": [
            {
                "type": type_,
                "status": status,
                "reason": "Test",
                "message": f"{type_} is {status}",
                "observedGeneration": generation,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for type_, status in conditions.items()
        ],
    }


DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.net/foreign"]}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(peer({"observedGeneration": -1}), "InProgress", id="new-object-with-the-default-of-the-crd"),
        pytest.param(peer(observed(3, Ready="True"), generation=3), "Current", id="ready"),
        pytest.param(peer(observed(1, Ready="False", Reconciling="True")), "InProgress", id="worked-on"),
        pytest.param(peer(observed(1, Ready="False", Stalled="True")), "Failed", id="somebody-has-to-act"),
        pytest.param(peer(observed(1, Ready="False")), "InProgress", id="not-ready-and-not-said-why"),
        pytest.param(peer(observed(1, Ready="Unknown")), "InProgress", id="readiness-unknown"),
        pytest.param(peer(observed(2, Ready="True"), generation=3), "InProgress", id="ready-before-the-change"),
        pytest.param(peer(observed(2, Stalled="True"), generation=3), "InProgress", id="stalled-before-the-change"),
        pytest.param(peer(observed(1, Ready="True"), **DELETED), "Terminating", id="ready-and-deleted"),
        pytest.param(peer(observed(1, Stalled="True"), **DELETED), "Terminating", id="stalled-and-deleted"),
    ],
)
def test_kstatus_reads_our_conditions_as_we_mean_them(found: dict[str, Any], expected: str) -> None:
    assert kstatus([found]) == {"alice": expected}


@pytest.mark.parametrize("status", [None, {}, {"phase": "Pending"}])
def test_without_observed_generation_a_new_object_would_pass_for_finished(status: dict[str, Any] | None) -> None:
    assert kstatus([peer(status)]) == {"alice": "Current"}


def test_many_objects_are_told_apart_by_name() -> None:
    asked = [peer({"observedGeneration": -1}), peer(observed(1, Ready="True"), name="bob")]
    assert kstatus(asked) == {"alice": "InProgress", "bob": "Current"}
    assert kstatus([]) == {}


def test_objects_of_one_name_are_refused_rather_than_lost() -> None:
    with pytest.raises(AssertionError, match="names must differ"):
        kstatus([peer(None), peer(None)])


@pytest.mark.parametrize("wrap", [lambda o: o, lambda o: [o], lambda o: {"kind": "List", "items": [o]}])
def test_the_program_reads_an_object_an_array_and_a_list_and_keeps_a_message_on_one_line(wrap: Any) -> None:
    status = observed(1, Stalled="True")
    status["conditions"][0]["message"] = "the server\tis\nfull"
    code, out, _ = run(json.dumps(wrap(peer(status))))
    assert (code, out) == (0, "alice\tFailed\tthe server is full\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "stdin is not JSON"),
        ("[1]", "item 0 is not an object"),
        ('[{"metadata": {"name": "alice"}}, {}]', "item 1 has no metadata.name"),
        ('{"metadata": {"name": "alice", "generation": "one"}}', "item 0, alice: looking up metadata.generation"),
    ],
)
def test_the_program_refuses_what_is_no_object_and_prints_no_half_answer(text: str, said: str) -> None:
    code, out, err = run(text)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {said}")


def run(text: str) -> tuple[int, str, str]:
    done = subprocess.run([find_or_build("kstatus")], input=text, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr
