"""What systems can do, what peers ask for, and what comes of the difference."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.domain.objects import NOW, peer, server
from tools import capabilities as page
from wireguard_operator.api.base import Key
from wireguard_operator.api.peer import PeerPhase
from wireguard_operator.api.reasons import Reason
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.domain.capabilities import MEANINGS, WISHES, Capability, Shortfall, System, shortfall, system_of
from wireguard_operator.domain.lifecycle import Situation, judge

DOCUMENT = Path(__file__).parents[3] / "docs" / "backends.md"


def easy(*degradations: str) -> WireGuardServer:
    plane = {"type": "WGEasy", "wgEasy": {"url": "https://a"}, "credentialsSecretRef": {"name": "login"}}
    return server(dataPlane={**plane, "degradations": list(degradations)})


def judged(of: WireGuardServer, system: System | None, **spec: Any) -> Any:
    return judge(Situation(peer(**spec), Key("isp", "berlin"), of, NOW, system=system))


def test_a_peer_that_asks_for_nothing_is_carried_by_every_system() -> None:
    for system in System:
        assert shortfall(peer().spec, easy().spec, system) == Shortfall()
        assert judged(easy(), system).admitted


def test_the_operator_s_own_servers_can_do_everything() -> None:
    assert System.OWN.capabilities == set(Capability)
    assert judged(server(), System.OWN, routes=["10.9.0.0/24"], limits={"download": "1M"}, access=[]).admitted


def test_what_cannot_be_done_is_refused_by_name_before_anything_that_the_peer_asks_for_itself() -> None:
    verdict = judged(easy(), System.WG_EASY, publicKey="k" * 43 + "=", access=[], enabled=False)
    assert verdict.objection.reason is Reason.NOT_SUPPORTED and verdict.objection.phase is PeerPhase.FAILED
    assert "wg-easy 15, which is behind WireGuardServer berlin, cannot do spec.publicKey, spec.access;" in (
        verdict.objection.message
    )
    assert verdict.accepted.status is False


def test_what_the_server_allows_to_go_without_is_told_and_the_rest_is_refused() -> None:
    verdict = judged(easy("Limits"), System.WG_EASY, limits={"download": "1M"})
    assert verdict.admitted and verdict.accepted.status and verdict.accepted.reason is Reason.DEGRADED
    assert "without spec.limits: wg-easy 15 cannot do that" in verdict.accepted.message
    assert not judged(easy("Limits"), System.WG_EASY, limits={"download": "1M"}, access=[]).admitted


def test_keys_of_the_peer_s_own_are_nothing_that_one_can_go_without() -> None:
    features = {wish.field: wish.feature for wish in WISHES}
    assert features["spec.publicKey"] is None and features["spec.privateKeySecretRef"] is None


def test_limits_without_a_rate_are_no_wish() -> None:
    assert judged(easy(), System.WG_EASY, limits={}).admitted


def test_nothing_is_refused_before_it_is_known_what_the_system_is() -> None:
    assert judged(easy(), None, access=[]).admitted


@pytest.mark.parametrize(
    ("edition", "system"), [("Auto", None), ("Legacy", System.FIREZONE_LEGACY), ("Current", System.FIREZONE)]
)
def test_a_firezone_of_either_edition_is_known_or_asked(edition: str, system: System | None) -> None:
    plane = {"type": "Firezone", "firezone": {"url": "https://a", "edition": edition}}
    assert system_of(server(dataPlane=plane).spec) is system
    assert system_of(easy().spec) is System.WG_EASY and system_of(server().spec) is System.OWN


def test_every_capability_is_explained_and_the_page_has_the_table_of_the_code() -> None:
    assert set(MEANINGS) == set(Capability)
    text = DOCUMENT.read_text()
    assert page.with_table(text) == text, "make generate"
