"""A Store that tells the metrics how long each call took. Put around the real one by `server`."""

from collections.abc import Awaitable, Callable
from typing import Any

from minik8s.control.apiserver.metrics import Metrics
from minik8s.control.apiserver.registry import ROOT
from minik8s.control.apiserver.storage import Store, StoreError, StoreWatch
from minik8s.kit.clock import Clock
from minik8s.wire.etcd import rpc_pb2 as rpc


class MeteredStore:
    """Measures what passes, by upstream's operations (get, list, create, update, delete) and the key's resource."""

    def __init__(self, store: Store, metrics: Metrics, *, clock: Clock) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self.close = store.close
        self.lease_grant = store.lease_grant
        self.status = store.status

    async def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        operation = "list" if request.range_end else "get"
        return await self._measured(operation, request.key, self._store.range, request)

    async def txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        operation, key = "get", b""
        if request.compare and request.success:
            key = request.compare[0].key
            is_create = request.compare[0].mod_revision == 0
            if request.success[0].HasField("request_put"):
                operation = "create" if is_create else "update"
            else:
                operation = "delete"
        return await self._measured(operation, key, self._store.txn, request)

    async def compact(self, request: rpc.CompactionRequest) -> rpc.CompactionResponse:
        return await self._measured("compact", b"", self._store.compact, request)

    def watch(self, request: rpc.WatchCreateRequest) -> StoreWatch:
        return self._store.watch(request)

    async def _measured(self, operation: str, key: bytes, call: Callable[[Any], Awaitable[Any]], request: Any) -> Any:
        labels = (operation, _type(key))
        started_s = self._clock.monotonic_s()
        try:
            return await call(request)
        except StoreError:
            self._metrics.store_errors.labels(*labels).inc()
            raise
        finally:
            self._metrics.store_seconds.labels(*labels).observe(self._clock.monotonic_s() - started_s)


def _type(key: bytes) -> str:
    """The first step of a key below the root; what stands there is ours, so there are few."""
    return key[len(ROOT) :].partition(b"/")[0].decode(errors="replace") if key.startswith(ROOT) else ""
