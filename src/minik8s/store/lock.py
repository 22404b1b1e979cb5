"""etcd's Lock service: a lock is a place at the head of a line (`line`)."""

from minik8s.store.errors import EMPTY_KEY, EtcdError
from minik8s.store.line import Lines
from minik8s.store.service import Service
from minik8s.wire.etcd import lock_pb2, rpc_pb2


class Lock:
    """Served by any member."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lines = Lines(service)

    async def lock(self, request: lock_pb2.LockRequest) -> lock_pb2.LockResponse:
        """Answers once the lock is held: until its lease ends or the key of the answer is deleted."""
        if not request.name:
            raise EtcdError(EMPTY_KEY)
        place = await self._lines.enter(request.name, request.lease)
        header = self._service.header(self._service.mvcc.revision)
        return lock_pb2.LockResponse(header=header, key=place.key)

    async def unlock(self, request: lock_pb2.UnlockRequest) -> lock_pb2.UnlockResponse:
        deletion = rpc_pb2.DeleteRangeRequest(key=request.key).SerializeToString()
        deleted = rpc_pb2.DeleteRangeResponse.FromString(await self._service.delete_range(deletion))
        return lock_pb2.UnlockResponse(header=deleted.header)
