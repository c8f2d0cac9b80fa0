"""What the benchmark makes of its measurements: a broken figure must fail, and be seen to."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import short, table
from bench.audit import AuditLog
from bench.figures import Figure, at_least, at_most, percentile


def filled(controller: float, **writes: int) -> dict[str, Any]:
    """What a filling of a server tells, as far as the short benchmark asks."""
    usual = {short.STATUS: short.LARGE - short.SMALL, short.SECRET: short.LARGE - short.SMALL}
    return {"cpu_seconds": {"controller": controller}, "writes": usual | writes}


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_the_smallest_sample_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_a_goal_is_met_at_its_limit_and_missed_beyond_it() -> None:
    assert [at_most(2).met(value) for value in (1, 2, 3)] == [True, True, False]
    assert [at_least(2).met(value) for value in (1, 2, 3)] == [False, True, True]


def test_cpu_that_grows_with_the_square_of_the_peers_is_a_missed_goal_and_with_the_peers_a_met_one() -> None:
    small = filled(1.0)
    proportional = (short.LARGE - short.SMALL) / short.SMALL
    assert short.growth(small, filled(proportional)).met is True
    squared = (short.LARGE / short.SMALL) ** 2 - 1
    assert short.growth(small, filled(squared)).met is False


def test_a_second_status_or_secret_for_some_new_peers_is_a_missed_goal() -> None:
    assert all(figure.met for figure in short.bulk_writes(filled(1.0)))
    more = round((short.LARGE - short.SMALL) * 1.02)
    for kind, name in ((short.STATUS, "statuses"), (short.SECRET, "Secrets")):
        missed = [figure.name for figure in short.bulk_writes(filled(1.0, **{kind: more})) if not figure.met]
        assert missed == [f"{name} of a new peer"]


def test_a_write_too_many_over_a_life_is_a_missed_goal_of_its_kind() -> None:
    usual = dict(short.WRITES_PER_LIFE)
    assert all(figure.met for figure in short.life_writes(usual))
    for kind, limit in usual.items():
        missed = [figure.name for figure in short.life_writes(usual | {kind: limit + 1}) if not figure.met]
        assert missed == [f"life: {kind}"]
    missed = [figure.name for figure in short.life_writes(usual | {"patch wireguardpeers": 1}) if not figure.met]
    assert missed == ["life: any other kind"]


def event(verb: str, resource: str, agent: str = "wireguard-operator", code: int = 200, subresource: str = "") -> str:
    reference = {"resource": resource} | ({"subresource": subresource} if subresource else {})
    body = {"verb": verb, "userAgent": agent, "objectRef": reference, "responseStatus": {"code": code}}
    return json.dumps(body) + "\n"


def test_writes_of_the_controller_are_counted_by_kind_from_a_mark_on_and_reads_and_others_are_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.log"
    path.write_text(event("create", "secrets"))
    log = AuditLog(path)
    mark = log.mark()
    with path.open("a") as file:
        file.write(event("create", "secrets", code=201))
        file.write(event("patch", "wireguardpeers", subresource="status") * 2)
        file.write(event("update", "wireguardaddressblocks", code=409))
        file.write(event("get", "secrets") + event("create", "secrets", agent="bench"))
        file.write(event("create", "secrets")[:-20])  # still being written
    assert log.writes(mark) == {
        "create secrets": 1,
        "patch wireguardpeers/status": 2,
        "update wireguardaddressblocks (409)": 1,
    }


def test_the_table_says_what_was_measured_what_was_wanted_and_what_was_missed() -> None:
    figures = [
        Figure("bulk", "share", 0.416, "ratio", "how", at_least(0.6)).as_json(),
        Figure("latency", "cut, p99", 123.4, "ms", "how", at_most(500)).as_json(),
        Figure("footprint", "RSS", 12.34, "MiB", "how").as_json(),
    ]
    assert [line.split() for line in table.text(figures).splitlines()[1:]] == [
        ["bulk", "share", "0.42", ">=", "0.6", "MISSED"],
        ["latency", "cut,", "p99", "123", "ms", "<=", "500", "ms", "met"],
        ["footprint", "RSS", "12.3", "MiB"],
    ]


def test_the_markdown_has_machine_table_and_how_each_figure_was_measured() -> None:
    machine = {
        "cpu": "CPU",
        "cores": 2,
        "memory_gib": 4.0,
        "kernel": "6.1",
        "python": "3.11",
        "api_server": "one",
        "versions": {"etcd": "3"},
    }
    figure = Figure("bulk", "share", 0.7, "ratio", "one time by another", at_least(0.6)).as_json()
    lines = table.markdown({"machine": machine, "figures": [figure]}).splitlines()
    assert lines[0] == "CPU, 2 cores, 4.0 GiB, Linux 6.1, Python 3.11; one; etcd 3."
    assert "| bulk | share | 0.70 | >= 0.6 | met |" in lines
    assert "- **bulk, share**: one time by another." in lines
