"""The finalizer of servers."""

from typing import Any, cast

from tests.unit.domain.objects import server
from wireguard_operator.controller.server.finalizer import FINALIZER, Finalizer
from wireguard_operator.controller.watch.records import ServerRecord
from wireguard_operator.kube.client import KubeClient


async def test_what_the_watch_tells_while_the_finalizer_is_written_is_not_forgotten() -> None:
    record = ServerRecord(server(), {}, 1)

    class Kube:
        async def get(self, *_: str) -> dict[str, Any]:
            return {"metadata": {"uid": "uid-berlin", "resourceVersion": "4", "namespace": "isp", "name": "berlin"}}

        async def merge_patch(self, *_: Any) -> dict[str, Any]:
            meta = record.server.metadata.model_copy(update={"generation": 4, "labels": {"tier": "gold"}})
            record.server = record.server.model_copy(update={"metadata": meta})
            return {"metadata": {"finalizers": [FINALIZER]}}

    await Finalizer(cast(KubeClient, Kube())).set(record, held=True)
    meta = record.server.metadata
    assert (meta.generation, meta.labels, meta.finalizers) == (4, {"tier": "gold"}, (FINALIZER,))
