"""etcd's Cluster service: who the members are, and changing that, one member at a time.

Raft knows members by name and address; etcd's clients by id and URLs. What they are called is in the replicated state,
who counts is what Raft says. etcd learns a member's name when it starts; here its certificate must name it before
anyone lets it in, so the name comes with the request: as the user in the peer URL, https://NAME@HOST:PORT.
"""

from urllib.parse import urlsplit

from minik8s.store import commands
from minik8s.store.cluster import member_id, parse_url
from minik8s.store.errors import BAD_PEER_URLS, MEMBER_NOT_FOUND, PEER_URLS_EXIST, EtcdError, Fault
from minik8s.store.service import Service, consensus_errors
from minik8s.wire.etcd import rpc_pb2

_NAMELESS = Fault(
    BAD_PEER_URLS.code, f"{BAD_PEER_URLS.text}: give one URL that names the member, https://NAME@HOST:PORT"
)
_FIXED_ADDRESS = Fault(
    "UNIMPLEMENTED", "minik8s store: a member's peer URLs stay: remove the member and add it at its new address"
)


class Membership:
    """As one member answers; any member may be asked."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def member_list(self, request: rpc_pb2.MemberListRequest) -> rpc_pb2.MemberListResponse:
        if request.linearizable:
            await self._service.read_index()
        return rpc_pb2.MemberListResponse(header=self._service.header(0), members=self._members())

    async def add(self, request: rpc_pb2.MemberAddRequest) -> rpc_pb2.MemberAddResponse:
        """The member can start once this is answered."""
        service = self._service
        name, url = _named(request.peerURLs)
        await service.read_index()
        configuration = service.consensus.configuration
        host, port, _ = parse_url(url)
        if name in configuration or (host, port) in {address for address, _ in configuration.values()}:
            raise EtcdError(PEER_URLS_EXIST)
        member = rpc_pb2.Member(ID=member_id([url], service.config.token), name=name, peerURLs=[url])
        await service.propose(commands.PUBLISH + member.SerializeToString())
        with consensus_errors():
            await service.consensus.add_member(name, (host, port), learner=request.isLearner)
        added = rpc_pb2.Member(ID=member.ID, peerURLs=[url], isLearner=request.isLearner)
        return rpc_pb2.MemberAddResponse(header=service.header(0), member=added, members=self._members())

    async def remove(self, request: rpc_pb2.MemberRemoveRequest) -> rpc_pb2.MemberRemoveResponse:
        name = self._name(request.ID)
        with consensus_errors():
            await self._service.consensus.remove_member(name)
        return rpc_pb2.MemberRemoveResponse(header=self._service.header(0), members=self._members())

    async def promote(self, request: rpc_pb2.MemberPromoteRequest) -> rpc_pb2.MemberPromoteResponse:
        name = self._name(request.ID)
        with consensus_errors():
            await self._service.consensus.promote(name)
        return rpc_pb2.MemberPromoteResponse(header=self._service.header(0), members=self._members())

    async def update(self, request: rpc_pb2.MemberUpdateRequest) -> rpc_pb2.MemberUpdateResponse:
        """To the URLs it has, or not at all."""
        name = self._name(request.ID)
        if _sorted(self._service.member(name).peerURLs) != _sorted(request.peerURLs):
            raise EtcdError(_FIXED_ADDRESS)
        return rpc_pb2.MemberUpdateResponse(header=self._service.header(0), members=self._members())

    def _name(self, id: int) -> str:
        """Raises EtcdError."""
        name = self._service.member_name(id)
        if name is None:
            raise EtcdError(MEMBER_NOT_FOUND)
        return name

    def _members(self) -> list[rpc_pb2.Member]:
        members = []
        for name, (_, is_learner) in sorted(self._service.consensus.configuration.items()):
            known = self._service.member(name)
            member = rpc_pb2.Member(ID=known.ID, peerURLs=known.peerURLs, isLearner=is_learner)
            # Name and client URLs are empty until the member has started once.
            if known.clientURLs:
                member.name = name
                member.clientURLs.extend(known.clientURLs)
            members.append(member)
        return members


def _sorted(urls) -> tuple[str, ...]:  # type: ignore[no-untyped-def]  # protobuf's repeated field
    """URLs in an order that says nothing."""
    return tuple(sorted(urls))


def _named(urls) -> tuple[str, str]:  # type: ignore[no-untyped-def]  # protobuf's repeated field
    """(name, the URL without it). Raises EtcdError."""
    try:
        for url in urls:
            parse_url(url)
    except ValueError as error:
        raise EtcdError(BAD_PEER_URLS) from error
    if len(urls) != 1 or not (name := urlsplit(urls[0]).username):
        raise EtcdError(_NAMELESS)
    return name, urls[0].replace(f"{name}@", "", 1)
