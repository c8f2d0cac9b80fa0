"""The connection to a system: what is said of it, and how long nobody tries it again."""

import logging

import pytest

from wireguard_operator.backends.connection import PAUSE_FIRST, PAUSE_LAST, Connection
from wireguard_operator.backends.contract import ForeignSystem
from wireguard_operator.backends.errors import Denied, SystemError, Throttled, Unreachable


async def nowhere() -> ForeignSystem:
    raise Unreachable("no answer")


def pauses(connection: Connection, *errors: Exception) -> list[float]:
    found = []
    for error in errors:
        connection.fail(error)
        found.append(connection.pause())
    return found


def test_pauses_grow_up_to_a_minute_and_begin_anew_when_all_went_well() -> None:
    connection = Connection("isp/berlin", nowhere)
    error = Unreachable("no answer")
    assert pauses(connection, *[error] * 4) == [PAUSE_FIRST * factor for factor in (1, 2, 4, 8)]
    assert pauses(connection, *[error] * 2000)[-1] == PAUSE_LAST
    connection.answers()
    assert pauses(connection, error) == [PAUSE_LAST]
    connection.works()
    assert pauses(connection, error) == [PAUSE_FIRST]


def test_a_system_that_asks_for_patience_has_it() -> None:
    connection = Connection("isp/berlin", nowhere)
    assert pauses(connection, Throttled("slowly", 300.0), Throttled("slowly", 0.5)) == [300.0, 2 * PAUSE_FIRST]


def test_a_trouble_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    connection = Connection("isp/berlin", nowhere)
    connection.answers()
    for error in (Unreachable("no answer"), Unreachable("no answer again"), Denied("wrong password")):
        assert connection.fail(error) is connection.trouble is error
    connection.answers()
    connection.answers()
    assert connection.trouble is None
    assert [record.getMessage() for record in caplog.records] == [
        "server isp/berlin: no answer",
        "server isp/berlin: wrong password",
        "server isp/berlin: its system answers again",
    ]


def test_a_mistake_of_ours_is_a_trouble_like_any_other() -> None:
    trouble = Connection("isp/berlin", nowhere).fail(ZeroDivisionError())
    assert type(trouble) is SystemError and "its log says where" in str(trouble)
