"""The choice of servers, for many at a time."""

from datetime import UTC, datetime

import pytest

from tests.unit.controller.test_controller_cache import Silent, peer
from tests.unit.domain.objects import server
from wireguard_operator.controller import placer as module
from wireguard_operator.controller.placer import Placer
from wireguard_operator.controller.watch.cache import Cache
from wireguard_operator.controller.watch.records import PeerRecord
from wireguard_operator.domain.placement import choose


class Told(list[str]):
    """Whoever has its status written."""

    def submit(self, record: PeerRecord) -> None:
        self.append(record.key.name)


def test_thousands_that_wait_for_the_same_cost_one_look_at_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def counted(*arguments: object) -> object:
        nonlocal looks
        looks += 1
        return choose(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "choose", counted)
    cache, told = Cache(Silent()), Told()
    meta = {"name": "berlin", "namespace": "isp", "uid": "b", "resourceVersion": "1", "labels": {"tier": "gold"}}
    cache.see_server({"metadata": meta, "spec": server(maxPeers=2).spec.to_wire()})
    for number in range(1000):
        body = peer(10 + number, f"uid-{number}", serverSelector={"matchLabels": {"tier": "gold"}})
        body["metadata"]["name"] = f"p{number}"
        cache.see_peer(body)
    Placer(cache, told, lambda: datetime.now(UTC)).look()
    assert len(told) == 998 and looks == 3
