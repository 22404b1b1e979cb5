"""Waiting in line under a name: the recipe that Lock and Election share, with etcd's keys.

Whoever waits puts NAME/LEASE-IN-HEX and has its turn when no key under NAME/ is older. Clients that follow the same
recipe by themselves (`etcdctl lock`, `elect`) stand in the same line.
"""

from asyncio import CancelledError
from dataclasses import dataclass

from minik8s.store.errors import SESSION_EXPIRED, EtcdError
from minik8s.store.mvcc import Record
from minik8s.store.service import Service
from minik8s.wire.etcd import rpc_pb2

_SESSION_TTL_S = 60  # of the lease given to who brings none, as etcd


@dataclass(frozen=True, slots=True)
class Place:
    """A place in line, held as long as its key exists with this create revision."""

    key: bytes
    create_revision: int
    lease: int


class Lines:
    """All lines of the store, seen from one member."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def enter(self, name: bytes, lease: int, value: bytes = b"") -> Place:
        """Take the last place, or keep the one this lease has; then wait for the turn. Cancelled: leave again.

        Raises EtcdError, of the lease or of the session that expired while waiting.
        """
        if not lease:
            granted = await self._service.lease_grant(rpc_pb2.LeaseGrantRequest(TTL=_SESSION_TTL_S))
            lease = granted.ID
        key = b"%s/%x" % (name, lease & (1 << 64) - 1)
        place = await self._take_place(key, lease, value)
        try:
            await self._turn(name + b"/", place)
        except CancelledError:
            await self.leave(place)
            raise
        return place

    async def leave(self, place: Place) -> int:
        """Give the place up, if it is still held; the store's revision then."""
        request = rpc_pb2.TxnRequest(
            compare=[held(place.key, place.create_revision)],
            success=[rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=place.key))],
        )
        return (await self._txn(request)).header.revision

    async def set_value(self, place: Place, value: bytes) -> int | None:
        """Write a new value at a place; the revision, None if the place is not held."""
        put = rpc_pb2.PutRequest(key=place.key, value=value, lease=place.lease)
        request = rpc_pb2.TxnRequest(
            compare=[held(place.key, place.create_revision)], success=[rpc_pb2.RequestOp(request_put=put)]
        )
        response = await self._txn(request)
        return response.header.revision if response.succeeded else None

    def first(self, name: bytes) -> Record | None:
        """Whose turn it is, as this member knows it; None if nobody waits."""
        return min(self._waiting(name + b"/"), key=lambda record: record.create_revision, default=None)

    async def _take_place(self, key: bytes, lease: int, value: bytes) -> Place:
        request = rpc_pb2.TxnRequest(
            compare=[held(key, 0)],
            success=[rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key, value=value, lease=lease))],
            failure=[rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=key))],
        )
        response = await self._txn(request)
        if response.succeeded:
            return Place(key, response.header.revision, lease)
        found = response.responses[0].response_range.kvs[0]
        place = Place(key, found.create_revision, lease)
        if found.value != value:
            await self.set_value(place, value)
        return place

    async def _turn(self, prefix: bytes, place: Place) -> None:
        while True:
            waiting = self._waiting(prefix)
            mine = next((record for record in waiting if record.key == place.key), None)
            if mine is None or mine.create_revision != place.create_revision:
                raise EtcdError(SESSION_EXPIRED)
            earlier = [record for record in waiting if record.create_revision < place.create_revision]
            if not earlier:
                # What this member has not applied yet may have ended the session.
                await self._service.read_index()
                if self._service.mvcc.get(place.key) is mine:
                    return
                continue
            last = max(earlier, key=lambda record: record.create_revision)
            await self._change(last.key, place.key)

    async def _change(self, *keys: bytes) -> None:
        """Wait until one of the keys is deleted."""
        stream = self._service.open_watch_stream()
        try:
            for key in keys:
                stream.create(rpc_pb2.WatchCreateRequest(key=key, filters=[rpc_pb2.WatchCreateRequest.NOPUT]))
            async for encoded in stream:
                if rpc_pb2.WatchResponse.FromString(encoded).events:
                    return
        finally:
            self._service.close_watch_stream(stream)

    def _waiting(self, prefix: bytes) -> list[Record]:
        return self._service.mvcc.range(prefix, prefix[:-1] + b"0")[0]  # "0" comes after "/"

    async def _txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        return rpc_pb2.TxnResponse.FromString(await self._service.txn(request.SerializeToString()))


def held(key: bytes, create_revision: int) -> rpc_pb2.Compare:
    """That the key was created at the revision; at 0 that it does not exist."""
    return rpc_pb2.Compare(
        key=key, target=rpc_pb2.Compare.CREATE, result=rpc_pb2.Compare.EQUAL, create_revision=create_revision
    )
