"""What subscribers are told: their own directions, one word, and nothing of the staff's."""

import json
from typing import Any

import pytest

from tests.client_configs import CASES, PEER_PRIVATE, too_long_settings
from tests.unit.domain.objects import FUTURE, NOW, PAST, peer
from wireguard_operator.gateway.portal.usage import UsageRecorder
from wireguard_operator.gateway.portal.view import State, configuration_of, state_of, status_of

USAGE = UsageRecorder(NOW).of("uid-alice", NOW)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({}, State.PREPARING),
        ({"phase": "Pending"}, State.PREPARING),
        ({"phase": "Active", "online": True, "lastHandshakeTime": PAST}, State.ONLINE),
        ({"phase": "Inactive", "online": False, "lastHandshakeTime": PAST}, State.OFFLINE),
        ({"phase": "Inactive", "online": False}, State.UNUSED),
        ({"phase": "Suspended", "online": True}, State.SUSPENDED),
        ({"phase": "Disabled"}, State.DISABLED),
        ({"phase": "Expired"}, State.EXPIRED),
        ({"phase": "Failed"}, State.FAILED),
    ],
)
def test_there_is_a_word_for_every_phase(status: dict[str, Any], state: State) -> None:
    assert state_of(peer(status=status)) is state


def test_download_is_what_the_server_sends() -> None:
    alice = peer(status={"phase": "Active", "traffic": {"rxBytes": 10, "txBytes": 2000, "since": PAST}})
    status = status_of(alice, None, USAGE, NOW)
    assert (status.download_bytes, status.upload_bytes) == (2000, 10)


def test_suspensions_are_told_while_they_hold_and_without_the_words_of_the_staff() -> None:
    alice = peer(
        status={"phase": "Suspended"},
        suspensions=[
            {"reason": "non-payment", "mode": "Throttle", "until": FUTURE, "by": "carl", "message": "third time"},
            {"reason": "abuse", "since": FUTURE},
            {"reason": "holiday", "until": PAST},
        ],
        description="pays late",
    )
    status = status_of(alice, None, USAGE, NOW)
    assert [(lock.reason, lock.mode) for lock in status.suspensions] == [("non-payment", "Throttle")]
    told = status.model_dump_json()
    assert "third time" not in told and "carl" not in told and "pays late" not in told


def test_a_server_is_told_by_its_place_and_not_by_its_name() -> None:
    location = {"city": "Oslo", "country": "NO", "provider": "cheap-dc", "latitude": 59.9}
    told = json.loads(status_of(peer(), location, USAGE, NOW).model_dump_json())
    assert told["place"] == {"name": None, "city": "Oslo", "country": "NO"}
    assert "berlin" not in json.dumps(told)


def test_a_configuration_comes_with_its_code() -> None:
    answer = configuration_of("alice", CASES["defaults"].text, has_private_key=True)
    assert answer.config == CASES["defaults"].text
    assert answer.qr is not None and {len(row) for row in answer.qr} == {len(answer.qr)}


def test_what_is_too_long_for_a_code_comes_without_one() -> None:
    answer = configuration_of("alice", too_long_settings().text, has_private_key=True)
    assert answer.qr is None and PEER_PRIVATE in answer.config


def test_a_code_without_a_private_key_is_of_no_use() -> None:
    assert configuration_of("alice", CASES["key held by the device"].text, has_private_key=False).qr is None
