"""etcd's KV, Watch and Lease services, without gRPC: requests in, answers or EtcdError out.

`server` serves it over gRPC, `local` in process. The hot calls (Range, Put, DeleteRange, Txn) take and give encoded
messages. Reads are linearizable through `consensus.read_index` unless the request says serializable; writes are
proposed to consensus and answered from what the machine made of them.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.store import alarms, checks, commands, encoding, txn
from minik8s.store import range as ranges
from minik8s.store.consensus import Consensus
from minik8s.store.errors import (
    LEARNER_NOT_READY,
    LEASE_TTL_TOO_LARGE,
    MEMBER_NOT_FOUND,
    MEMBER_NOT_LEARNER,
    NO_LEADER,
    NO_SPACE,
    NOT_LEADER,
    PEER_URLS_EXIST,
    REQUEST_TIMED_OUT,
    REQUEST_TOO_LARGE,
    STOPPED,
    TOO_MANY_REQUESTS,
    TRANSFER_TIMED_OUT,
    UNHEALTHY_CLUSTER,
    EtcdError,
    Fault,
)
from minik8s.store.expiry import Expiry
from minik8s.store.machine import Applied, Machine
from minik8s.store.raft import errors as raft
from minik8s.store.watch import WatchHub
from minik8s.store.watch_stream import WatchStream
from minik8s.wire.etcd import rpc_pb2

log = get_logger(__name__)

VERSION = "3.6.4"
"""The etcd release whose client API this is; API servers look here for what the store can do."""

_LEASE_TTL_MAX_S = 9_000_000_000
_FAULTS: dict[type[raft.RaftError], Fault] = {
    raft.NoLeader: NO_LEADER,
    raft.NotStarted: STOPPED,
    raft.TooManyProposals: TOO_MANY_REQUESTS,
    raft.CommandTooLarge: REQUEST_TOO_LARGE,
    raft.MemberExists: PEER_URLS_EXIST,
    raft.MemberNotFound: MEMBER_NOT_FOUND,
    raft.MemberNotLearner: MEMBER_NOT_LEARNER,
    raft.LearnerNotReady: LEARNER_NOT_READY,
    raft.MembershipRefused: UNHEALTHY_CLUSTER,  # ChangeUnderWay, QuorumAtRisk
    raft.NotLeader: NOT_LEADER,
    raft.TransferFailed: TRANSFER_TIMED_OUT,
    raft.RaftError: REQUEST_TIMED_OUT,  # ProposalTimeout, ReadTimeout
}


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Who this member is, and its limits."""

    member_id: int
    cluster_id: int
    members: Mapping[str, rpc_pb2.Member] = field(default_factory=dict)  # the first ones: id and peerURLs by name
    token: str = ""  # of the cluster, for the ids of members to come
    request_bytes_max: int = 3 * 512 * 1024
    operations_max: int = 128  # in one list of a transaction
    pending_max: int = 5000  # proposals in flight; more are refused with "too many requests"
    lease_ttl_min_s: int = 2
    quota_bytes: int = 2 << 30  # of all versions held; not above 0 means unlimited


class Service:
    """One member's answers."""

    def __init__(
        self, config: ServiceConfig, machine: Machine, consensus: Consensus, *, clock: Clock, rng: random.Random
    ) -> None:
        self.config = config
        self.machine = machine
        self.consensus = consensus
        self.mvcc = machine.space.mvcc
        self.expiry = Expiry(clock)
        self.hub = WatchHub(self.mvcc)
        self.streams: set[WatchStream] = set()
        self.pending = 0
        self.failed = 0  # proposals that consensus did not carry out, as far as is known
        self._rng = rng
        self._cluster_id = 0
        self._identity = b""
        machine.observers += [self.hub, self.expiry]

    # KV

    async def range(self, request: bytes) -> bytes:
        parsed = encoding.decode(rpc_pb2.RangeRequest, request)
        checks.check_range(parsed)
        if not parsed.serializable:
            await self.read_index()
        self.machine.alarms.check_read()
        return self._header(self.mvcc.revision) + ranges.answer(self.mvcc, parsed)

    async def put(self, request: bytes) -> bytes:
        checks.check_put(encoding.decode(rpc_pb2.PutRequest, request))
        return self._answer(await self.propose(commands.PUT + request))

    async def delete_range(self, request: bytes) -> bytes:
        checks.check_delete_range(encoding.decode(rpc_pb2.DeleteRangeRequest, request))
        return self._answer(await self.propose(commands.DELETE_RANGE + request))

    async def txn(self, request: bytes) -> bytes:
        parsed = encoding.decode(rpc_pb2.TxnRequest, request)
        checks.check_txn(parsed, self.config.operations_max)
        if not txn.is_read_only(parsed):
            return self._answer(await self.propose(commands.TXN + request))
        if not txn.is_serializable(parsed):
            await self.read_index()
        self.machine.alarms.check_read()
        return self._header(self.mvcc.revision) + txn.txn(self.machine.space, parsed)

    async def compact(self, request: rpc_pb2.CompactionRequest) -> rpc_pb2.CompactionResponse:
        applied = await self.propose(commands.COMPACT + request.SerializeToString())
        return rpc_pb2.CompactionResponse(header=self.header(applied.revision))

    # Watch

    def open_watch_stream(self) -> WatchStream:
        """A stream that its owner must hand back to `close_watch_stream`."""
        stream = WatchStream(self.hub, self._header, fragment_bytes=self.config.request_bytes_max)
        self.streams.add(stream)
        return stream

    def close_watch_stream(self, stream: WatchStream) -> None:
        stream.close()
        self.streams.discard(stream)

    # Lease

    async def lease_grant(self, request: rpc_pb2.LeaseGrantRequest) -> rpc_pb2.LeaseGrantResponse:
        self.machine.alarms.check_command(commands.LEASE_GRANT, b"")
        if request.TTL > _LEASE_TTL_MAX_S:
            raise EtcdError(LEASE_TTL_TOO_LARGE)
        decided = rpc_pb2.LeaseGrantRequest(
            ID=request.ID or self._new_lease_id(), TTL=max(request.TTL, self.config.lease_ttl_min_s)
        )
        applied = await self.propose(commands.LEASE_GRANT + decided.SerializeToString())
        return rpc_pb2.LeaseGrantResponse.FromString(self._answer(applied))

    async def lease_revoke(self, request: rpc_pb2.LeaseRevokeRequest) -> rpc_pb2.LeaseRevokeResponse:
        applied = await self.propose(commands.LEASE_REVOKE + request.SerializeToString())
        return rpc_pb2.LeaseRevokeResponse(header=self.header(applied.revision))

    async def lease_keep_alive(self, request: rpc_pb2.LeaseKeepAliveRequest) -> rpc_pb2.LeaseKeepAliveResponse:
        """A renewal goes through the log, so any member may take it and no leader can be mistaken about it."""
        applied = await self.propose(commands.LEASE_RENEW + request.SerializeToString())
        return rpc_pb2.LeaseKeepAliveResponse.FromString(self._answer(applied))

    async def lease_time_to_live(self, request: rpc_pb2.LeaseTimeToLiveRequest) -> rpc_pb2.LeaseTimeToLiveResponse:
        await self.read_index()
        response = rpc_pb2.LeaseTimeToLiveResponse(header=self.header(self.mvcc.revision), ID=request.ID, TTL=-1)
        lease = self.machine.space.leases.find(request.ID)
        if lease and (remaining_s := self.expiry.remaining_s(lease.id)) > 0:
            response.TTL, response.grantedTTL = int(remaining_s), lease.ttl_s
            if request.keys:
                response.keys.extend(sorted(lease.keys))
        return response

    async def lease_leases(self, request: rpc_pb2.LeaseLeasesRequest) -> rpc_pb2.LeaseLeasesResponse:
        await self.read_index()
        leases = [rpc_pb2.LeaseStatus(ID=lease.id) for lease in self.machine.space.leases]
        return rpc_pb2.LeaseLeasesResponse(header=self.header(self.mvcc.revision), leases=leases)

    # Auth

    async def auth_status(self, request: bytes) -> bytes:
        """Never enabled, at the revision of auth that a fresh etcd has."""
        return self._header(0) + encoding.integer(3, 1)

    # What the calls above, the server and the upkeep share

    @property
    def leader_id(self) -> int:
        """0 while there is none."""
        if self.consensus.is_leader:
            return self.config.member_id
        return self.member(self.consensus.leader).ID if self.consensus.leader else 0

    @property
    def is_learner(self) -> bool:
        """Whether this member has no vote: not yet, or not any more."""
        _, is_learner = self.consensus.configuration.get(self.consensus.name, (None, True))
        return is_learner

    def member(self, name: str) -> rpc_pb2.Member:
        """What is known of a member by consensus' name of it; empty if nothing is."""
        published = (member for member in self.machine.members.values() if member.name == name)
        return next(published, None) or self.config.members.get(name) or rpc_pb2.Member()

    def member_name(self, member_id: int) -> str | None:
        """Consensus' name of a member, None if there is no such member."""
        return next((name for name in self.consensus.configuration if member_id == self.member(name).ID), None)

    def require_leader(self) -> None:
        """What the metadata `hasleader` asks. Raises EtcdError."""
        if not self.consensus.leader:
            raise EtcdError(NO_LEADER)

    async def read_index(self) -> None:
        """Wait until everything written before now can be read here. Raises EtcdError."""
        with consensus_errors():
            await self.consensus.read_index()

    async def propose(self, command: bytes) -> Applied:
        """Have every member apply `command`. Raises EtcdError: the machine's, or that of consensus."""
        if len(command) > self.config.request_bytes_max:
            raise EtcdError(REQUEST_TOO_LARGE)
        if self.pending >= self.config.pending_max:
            raise EtcdError(TOO_MANY_REQUESTS)
        if 0 < self.config.quota_bytes < self.mvcc.size_bytes + len(command):
            await self._check_space(command)
        self.pending += 1
        try:
            with consensus_errors():
                result: Any = await self.consensus.propose(command)
        except EtcdError:
            self.failed += 1
            raise
        finally:
            self.pending -= 1
        if isinstance(result, EtcdError):
            # A fresh one: several callers may hold the same value.
            raise EtcdError(result.fault)
        assert isinstance(result, Applied)
        return result

    async def _check_space(self, command: bytes) -> None:
        """The quota is full: whoever would add to it is refused, and the whole cluster told by an alarm."""
        if not alarms.needs_space(command[:1], command[1:]):
            return
        if not self.machine.alarms.members(rpc_pb2.NOSPACE):
            log.error("the quota is full: compact and delete, then disarm", quota_bytes=self.config.quota_bytes)
            raised = rpc_pb2.AlarmRequest(
                action=rpc_pb2.AlarmRequest.ACTIVATE, memberID=self.config.member_id, alarm=rpc_pb2.NOSPACE
            )
            await self.propose(commands.ALARM + raised.SerializeToString())
        raise EtcdError(NO_SPACE)

    async def transfer_leadership(self, name: str) -> None:
        """Have another member lead. Raises EtcdError."""
        with consensus_errors():
            await self.consensus.transfer_leadership(name)

    @property
    def cluster_id(self) -> int:
        """The one the cluster was founded with: a member that joined later would compute another."""
        return self.machine.cluster_id or self.config.cluster_id

    def header(self, revision: int) -> rpc_pb2.ResponseHeader:
        """0 leaves the revision out, as cluster calls do."""
        return rpc_pb2.ResponseHeader(
            cluster_id=self.cluster_id,
            member_id=self.config.member_id,
            revision=revision,
            raft_term=self.consensus.term,
        )

    def _header(self, revision: int) -> bytes:
        """The header as a response's encoded first field."""
        if self._cluster_id != self.cluster_id:
            self._cluster_id = self.cluster_id
            self._identity = encoding.integer(1, self._cluster_id) + encoding.integer(2, self.config.member_id)
        variable = encoding.integer(3, revision) + encoding.integer(4, self.consensus.term)
        return encoding.message(1, self._identity + variable)

    def _answer(self, applied: Applied) -> bytes:
        return self._header(applied.revision) + applied.body

    def _new_lease_id(self) -> int:
        return self._rng.getrandbits(62) + 1


@contextmanager
def consensus_errors() -> Iterator[None]:
    """What consensus raises, as etcd's clients know it. Only "request timed out" leaves a write's outcome open."""
    try:
        yield
    except raft.RaftError as error:
        raise EtcdError(next(fault for kind, fault in _FAULTS.items() if isinstance(error, kind))) from error
