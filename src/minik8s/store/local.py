"""The store in process: the service of one member over `Immediate` consensus, speaking etcd's messages.

The API server's tests and the simulation use it where a process would use a gRPC channel; the answers, the order of
events and the errors (`errors.EtcdError`) are the same.
"""

import random

from minik8s.kit.clock import Clock
from minik8s.store.consensus import Immediate
from minik8s.store.machine import Machine
from minik8s.store.maintenance import Maintenance
from minik8s.store.service import Service, ServiceConfig
from minik8s.store.upkeep import Upkeep, UpkeepConfig
from minik8s.wire.etcd import rpc_pb2


class LocalStore:
    """One member without network or disk. Leases expire and progress is notified only while `run()` runs."""

    def __init__(self, *, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        machine = Machine()
        config = ServiceConfig(member_id=1, cluster_id=1)
        self._service = Service(config, machine, Immediate(machine), clock=clock, rng=rng)
        self._maintenance = Maintenance(self._service)

    async def run(self) -> None:
        """Expire leases and notify progress, until cancelled."""
        await Upkeep(UpkeepConfig(), self._service, clock=self._clock).run()

    async def range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        return rpc_pb2.RangeResponse.FromString(await self._service.range(request.SerializeToString()))

    async def put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        return rpc_pb2.PutResponse.FromString(await self._service.put(request.SerializeToString()))

    async def delete_range(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        return rpc_pb2.DeleteRangeResponse.FromString(await self._service.delete_range(request.SerializeToString()))

    async def txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        return rpc_pb2.TxnResponse.FromString(await self._service.txn(request.SerializeToString()))

    async def compact(self, request: rpc_pb2.CompactionRequest) -> rpc_pb2.CompactionResponse:
        return await self._service.compact(request)

    async def lease_grant(self, request: rpc_pb2.LeaseGrantRequest) -> rpc_pb2.LeaseGrantResponse:
        return await self._service.lease_grant(request)

    async def lease_revoke(self, request: rpc_pb2.LeaseRevokeRequest) -> rpc_pb2.LeaseRevokeResponse:
        return await self._service.lease_revoke(request)

    async def status(self) -> rpc_pb2.StatusResponse:
        return await self._maintenance.status(rpc_pb2.StatusRequest())

    def watch(self, request: rpc_pb2.WatchCreateRequest) -> "LocalWatch":
        """A stream with one watcher. The first message says `created`; a refusal is a message with `canceled`."""
        return LocalWatch(self._service, request)


class LocalWatch:
    """The answers to one watch, in order: an asynchronous iterator that ends after `close()`."""

    def __init__(self, service: Service, request: rpc_pb2.WatchCreateRequest) -> None:
        self._service = service
        self._stream = service.open_watch_stream()
        self._stream.create(request)

    def __aiter__(self) -> "LocalWatch":
        return self

    async def __anext__(self) -> rpc_pb2.WatchResponse:
        return rpc_pb2.WatchResponse.FromString(await anext(self._stream))

    async def request_progress(self) -> None:
        """Ask for an empty message (watch_id -1) once everything up to its header's revision has been delivered."""
        self._stream.request_progress()

    async def close(self) -> None:
        self._service.close_watch_stream(self._stream)
