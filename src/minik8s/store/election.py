"""etcd's Election service: the leader of a name is who stands first in its line (`line`)."""

from collections.abc import AsyncGenerator

from minik8s.store.errors import ELECTION_NO_LEADER, ELECTION_NOT_LEADER, EMPTY_KEY, MISSING_LEADER_KEY, EtcdError
from minik8s.store.line import Lines, Place
from minik8s.store.mvcc import Record
from minik8s.store.service import Service
from minik8s.wire.etcd import election_pb2, rpc_pb2


class Election:
    """Served by any member."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lines = Lines(service)

    async def campaign(self, request: election_pb2.CampaignRequest) -> election_pb2.CampaignResponse:
        """Answers once the candidate leads."""
        if not request.name:
            raise EtcdError(EMPTY_KEY)
        place = await self._lines.enter(request.name, request.lease, request.value)
        leader = election_pb2.LeaderKey(name=request.name, key=place.key, rev=place.create_revision, lease=place.lease)
        return election_pb2.CampaignResponse(header=self._header(), leader=leader)

    async def proclaim(self, request: election_pb2.ProclaimRequest) -> election_pb2.ProclaimResponse:
        revision = await self._lines.set_value(_place(request.leader), request.value)
        if revision is None:
            raise EtcdError(ELECTION_NOT_LEADER)
        return election_pb2.ProclaimResponse(header=self._service.header(revision))

    async def leader(self, request: election_pb2.LeaderRequest) -> election_pb2.LeaderResponse:
        await self._service.read_index()
        first = self._lines.first(request.name)
        if first is None:
            raise EtcdError(ELECTION_NO_LEADER)
        return self._leader(first)

    async def observe(self, request: election_pb2.LeaderRequest) -> AsyncGenerator[election_pb2.LeaderResponse, None]:
        """Each leader, and each value it proclaims, from now on. Of several that followed each other fast, the last."""
        await self._service.read_index()
        stream = self._service.open_watch_stream()
        prefix = request.name + b"/"
        try:
            stream.create(rpc_pb2.WatchCreateRequest(key=prefix, range_end=prefix[:-1] + b"0"))
            told: Record | None = None
            async for _ in stream:
                first = self._lines.first(request.name)
                if first and first is not told:
                    told = first
                    yield self._leader(first)
        finally:
            self._service.close_watch_stream(stream)

    async def resign(self, request: election_pb2.ResignRequest) -> election_pb2.ResignResponse:
        revision = await self._lines.leave(_place(request.leader))
        return election_pb2.ResignResponse(header=self._service.header(revision))

    def _leader(self, first: Record) -> election_pb2.LeaderResponse:
        return election_pb2.LeaderResponse(header=self._header(), kv=first.key_value())

    def _header(self) -> rpc_pb2.ResponseHeader:
        return self._service.header(self._service.mvcc.revision)


def _place(leader: election_pb2.LeaderKey) -> Place:
    """Raises EtcdError if the request names none."""
    if not leader.key:
        raise EtcdError(MISSING_LEADER_KEY)
    return Place(leader.key, leader.rev, leader.lease)
