"""A peer's status says what is confirmed."""

from datetime import UTC, datetime

from wireguard_operator.api.peer import PeerPhase, WireGuardPeer
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.domain.conditions import find
from wireguard_operator.domain.lifecycle import Situation, Verdict, judge
from wireguard_operator.domain.peer_status import PeerFacts, Problem, compose, recall

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVER = WireGuardServer.model_validate(
    {
        "metadata": {"name": "berlin", "namespace": "isp"},
        "spec": {
            "endpoint": {"host": "vpn.example.net"},
            "networks": ["10.8.0.0/24"],
            "dataPlane": {"host": {"url": "https://192.0.2.1:8443"}},
        },
    }
)


def peer(status: dict | None = None, **spec: object) -> WireGuardPeer:
    return WireGuardPeer.model_validate(
        {
            "metadata": {"name": "alice", "namespace": "isp", "uid": "u", "generation": 3},
            "spec": {"serverRef": {"name": "berlin"}, **spec},
            "status": status or {},
        }
    )


def facts(**changes: object) -> PeerFacts:
    base = PeerFacts(Verdict(), ("10.8.0.2/32",), public_key="K", secret_name="alice-wireguard", settled=True)
    for name, value in changes.items():
        setattr(base, name, value)
    return base


def ready(f: PeerFacts, p: WireGuardPeer | None = None) -> tuple[str, str, PeerPhase]:
    status = compose(p or peer(), f, None, NOW)
    condition = find(status.conditions, "Ready")
    assert condition is not None and status.phase is not None
    return condition.status, condition.reason, status.phase


def test_on_the_device_and_online_is_active() -> None:
    assert ready(facts(on_device=True, online=True)) == ("True", "Ready", PeerPhase.ACTIVE)


def test_on_the_device_and_silent_is_inactive_but_ready() -> None:
    assert ready(facts(on_device=True)) == ("True", "Ready", PeerPhase.INACTIVE)


def test_not_acknowledged_is_pending() -> None:
    assert ready(facts(settled=False)) == ("False", "Waiting", PeerPhase.PENDING)


def test_an_agent_that_does_not_answer_is_waited_for_and_no_failure() -> None:
    problem = Problem("AgentUnreachable", "no answer", passing=True)
    assert ready(facts(settled=False, program_problem=problem)) == ("False", "AgentUnreachable", PeerPhase.PENDING)


def test_an_exhausted_pool_is_a_failure() -> None:
    problem = Problem("PoolExhausted", "full")
    assert ready(facts(address_problem=problem, addresses=())) == ("False", "PoolExhausted", PeerPhase.FAILED)


def test_a_missing_server_is_named() -> None:
    verdict = judge(Situation(peer(), None, NOW))
    assert verdict.objection is not None and verdict.objection.reason == "ServerNotFound"
    assert "WireGuardServer berlin in namespace isp" in verdict.objection.message


def test_disabled_and_off_the_device_is_ready_because_that_was_asked_for() -> None:
    p = peer(enabled=False)
    verdict = judge(Situation(p, SERVER, NOW))
    assert ready(facts(verdict=verdict), p) == ("True", "Disabled", PeerPhase.DISABLED)


def test_disabled_but_still_on_the_device_is_not_called_disabled() -> None:
    p = peer(enabled=False)
    verdict = judge(Situation(p, SERVER, NOW))
    status, _, phase = ready(facts(verdict=verdict, on_device=True, settled=False), p)
    assert (status, phase) != ("True", PeerPhase.DISABLED)
    assert phase is PeerPhase.PENDING


def test_a_restarted_controller_recalls_what_is_on_the_device() -> None:
    wire = compose(peer(), facts(on_device=True, online=True), None, NOW).to_wire()
    again = recall(peer(wire))
    assert again.programmed and again.online
    changed = peer(wire | {"observedGeneration": 2})
    assert recall(changed).on_device and not recall(changed).settled


def test_transition_times_move_only_with_the_status() -> None:
    first = compose(peer(), facts(on_device=True), None, NOW)
    later = compose(peer(first.to_wire()), facts(on_device=True, online=True), None, NOW.replace(year=2027))
    assert [c.last_transition_time for c in later.conditions] == [c.last_transition_time for c in first.conditions]
