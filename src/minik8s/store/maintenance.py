"""etcd's Maintenance service: how a member is, alarms, hashes, who leads."""

import zlib
from asyncio import get_running_loop, sleep
from collections.abc import AsyncGenerator

from minik8s.store import backup, commands, encoding
from minik8s.store.errors import BAD_TRANSFEREE, NO_LEADER, NOT_LEADER, EtcdError
from minik8s.store.service import VERSION, Service
from minik8s.wire.etcd import rpc_pb2

_SNAPSHOT_DUTY = 0.25  # the share of time that a backup may keep the event loop busy
_BUSY_MAX_S = 0.01  # longer was waiting for the client, not work


class Maintenance:
    """Of one member."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def status(self, request: rpc_pb2.StatusRequest) -> rpc_pb2.StatusResponse:
        service = self._service
        consensus, size_bytes = service.consensus, service.mvcc.size_bytes
        errors = [] if consensus.leader else [NO_LEADER.text]
        # As etcd writes them.
        errors += [
            f"memberID:{alarm.memberID} alarm:{rpc_pb2.AlarmType.Name(alarm.alarm)} "
            for alarm in service.machine.alarms.members()
        ]
        return rpc_pb2.StatusResponse(
            header=service.header(service.mvcc.revision),
            version=VERSION,
            dbSize=size_bytes,
            dbSizeInUse=size_bytes,
            dbSizeQuota=max(service.config.quota_bytes, 0),
            leader=service.leader_id,
            raftIndex=consensus.last_index,
            raftTerm=consensus.term,
            raftAppliedIndex=consensus.applied_index,
            errors=errors,
            isLearner=service.is_learner,
        )

    async def alarm(self, request: rpc_pb2.AlarmRequest) -> rpc_pb2.AlarmResponse:
        service = self._service
        if request.action == rpc_pb2.AlarmRequest.GET:
            await service.read_index()
            response = rpc_pb2.AlarmResponse(alarms=service.machine.alarms.members(request.alarm))
        else:
            applied = await service.propose(commands.ALARM + request.SerializeToString())
            response = rpc_pb2.AlarmResponse.FromString(applied.body)
        response.header.CopyFrom(service.header(0))
        return response

    async def hash(self, request: rpc_pb2.HashRequest) -> rpc_pb2.HashResponse:
        """Over everything a member holds: its versions, how far they are compacted, its leases."""
        service = self._service
        crc, _ = service.mvcc.hash_kv()
        crc = zlib.crc32(encoding.integer(1, service.mvcc.compact_revision), crc)
        for lease in sorted(service.machine.space.leases, key=lambda lease: lease.id):
            crc = zlib.crc32(encoding.integer(1, lease.id) + encoding.integer(2, lease.ttl_s), crc)
        return rpc_pb2.HashResponse(header=service.header(service.mvcc.revision), hash=crc)

    async def hash_kv(self, request: rpc_pb2.HashKVRequest) -> rpc_pb2.HashKVResponse:
        mvcc = self._service.mvcc
        crc, revision = mvcc.hash_kv(request.revision)
        return rpc_pb2.HashKVResponse(
            header=self._service.header(mvcc.revision),
            hash=crc,
            compact_revision=mvcc.compact_revision,
            hash_revision=revision,
        )

    async def defragment(self, request: rpc_pb2.DefragmentRequest) -> rpc_pb2.DefragmentResponse:
        """Nothing to do: what compaction forgets is free at once. As etcd's the answer has no header."""
        return rpc_pb2.DefragmentResponse()

    async def snapshot(self, request: rpc_pb2.SnapshotRequest) -> AsyncGenerator[rpc_pb2.SnapshotResponse, None]:
        """A backup (`backup`), pinned at the call. How much remains is an estimate until the end, as nothing is
        written beforehand."""
        service = self._service
        header = service.header(service.mvcc.revision)
        remaining_bytes = service.mvcc.size_bytes
        piece = b""
        loop = get_running_loop()
        awake_s = loop.time()
        for following in backup.pieces(service.machine):
            # Writers go first: a client that reads fast would else have the loop to itself.
            await sleep(min(loop.time() - awake_s, _BUSY_MAX_S) * (1 / _SNAPSHOT_DUTY - 1))
            awake_s = loop.time()
            if piece:
                remaining_bytes = max(remaining_bytes - len(piece), 1)
                yield rpc_pb2.SnapshotResponse(header=header, remaining_bytes=remaining_bytes, blob=piece)
            piece = following
        yield rpc_pb2.SnapshotResponse(header=header, blob=piece)

    async def move_leader(self, request: rpc_pb2.MoveLeaderRequest) -> rpc_pb2.MoveLeaderResponse:
        service = self._service
        if not service.consensus.is_leader:
            raise EtcdError(NOT_LEADER)
        name = service.member_name(request.targetID)
        if name is None:
            raise EtcdError(BAD_TRANSFEREE)
        await service.transfer_leadership(name)
        return rpc_pb2.MoveLeaderResponse()
