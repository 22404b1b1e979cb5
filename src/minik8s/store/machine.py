"""The replicated state machine: commands in, answers out, the same on every member.

Consensus calls `apply`, in order, once per command. It is total (what a client did wrong is a value, an EtcdError) and
deterministic (no clock, no chance). Observers are told what happened; they act on this member only and change nothing
here: the watch hub wakes watchers, the expiry restarts timers.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from google.protobuf.message import Message

from minik8s.store import commands, snapshot, txn
from minik8s.store.alarms import Alarms
from minik8s.store.errors import EtcdError
from minik8s.store.lease import Lease
from minik8s.store.txn import Keyspace
from minik8s.wire.etcd import rpc_pb2


class Applied(NamedTuple):
    """What a command did: the revision it left the store at, and the fields of the answer after its header."""

    revision: int
    body: bytes


class Observer(Protocol):
    """Told of changes on this member, after they are made."""

    def revision_committed(self, revision: int) -> None:
        """`mvcc.batch(revision)` holds the changes."""

    def lease_renewed(self, lease: Lease) -> None:
        """Granted, or renewed, or taken over by a new leader."""

    def lease_ended(self, lease_id: int) -> None:
        """Revoked or expired."""

    def state_restored(self, revision_before: int) -> None:
        """A snapshot replaced the state; what it left out was told before, lease by lease."""


class Machine:
    """The whole replicated state of the store."""

    def __init__(self) -> None:
        self.space = Keyspace()
        self.members: dict[int, rpc_pb2.Member] = {}
        """What members have published of themselves, by id; who has no client URLs has not started yet."""
        self.cluster_id = 0
        self.alarms = Alarms()
        self.observers: list[Observer] = []
        self._handlers: dict[bytes, Callable[[bytes], bytes]] = {
            commands.PUT: self._put,
            commands.DELETE_RANGE: self._delete_range,
            commands.TXN: self._txn,
            commands.COMPACT: self._compact,
            commands.LEASE_GRANT: self._lease_grant,
            commands.LEASE_REVOKE: self._lease_revoke,
            commands.LEASE_RENEW: self._lease_renew,
            commands.LEASE_EXPIRE: self._lease_expire,
            commands.LEASE_TAKE_OVER: self._lease_take_over,
            commands.PUBLISH: self._publish,
            commands.CLUSTER: self._cluster,
            commands.ALARM: self._alarm,
        }

    def apply(self, command: bytes) -> Applied | EtcdError:
        """Carry out one command. A kind this version does not know is our bug, and must stop the member."""
        kind, payload = command[:1], command[1:]
        try:
            self.alarms.check_command(kind, payload)
            body = self._handlers[kind](payload)
        except EtcdError as error:
            return error
        mvcc = self.space.mvcc
        if mvcc.commit():
            for observer in self.observers:
                observer.revision_committed(mvcc.revision)
        return Applied(mvcc.revision, body)

    @property
    def raised_alarms(self) -> set[tuple[int, int]]:
        return self.alarms.raised

    def snapshot(self) -> Iterator[bytes]:
        """The state as it is now, in chunks that may be read while commands are applied."""
        return snapshot.chunks(self)

    def restore(self, stream: Iterable[bytes]) -> None:
        """Replace the state by a later one. Raises SnapshotUnreadable, having changed nothing."""
        image = snapshot.read(stream)
        before = self.space.mvcc.revision
        ended = [lease.id for lease in self.space.leases if not image.space.leases.find(lease.id)]
        # In place: watchers and services hold on to it.
        self.space.mvcc.become(image.space.mvcc)
        self.space.leases = image.space.leases
        self.members, self.cluster_id, self.alarms.raised = image.members, image.cluster_id, image.raised_alarms
        for lease_id in ended:
            for observer in self.observers:
                observer.lease_ended(lease_id)
        for lease in self.space.leases:
            self._renewed(lease)
        for observer in self.observers:
            observer.state_restored(before)

    def _put(self, payload: bytes) -> bytes:
        return txn.put(self.space, rpc_pb2.PutRequest.FromString(payload))

    def _delete_range(self, payload: bytes) -> bytes:
        return txn.delete_range(self.space, rpc_pb2.DeleteRangeRequest.FromString(payload))

    def _txn(self, payload: bytes) -> bytes:
        return txn.txn(self.space, rpc_pb2.TxnRequest.FromString(payload))

    def _compact(self, payload: bytes) -> bytes:
        self.space.mvcc.compact(rpc_pb2.CompactionRequest.FromString(payload).revision)
        return b""

    def _lease_grant(self, payload: bytes) -> bytes:
        request = rpc_pb2.LeaseGrantRequest.FromString(payload)
        self._renewed(self.space.leases.grant(request.ID, request.TTL))
        return _encoded(rpc_pb2.LeaseGrantResponse(ID=request.ID, TTL=request.TTL))

    def _lease_revoke(self, payload: bytes) -> bytes:
        self._end(rpc_pb2.LeaseRevokeRequest.FromString(payload).ID)
        return b""

    def _lease_renew(self, payload: bytes) -> bytes:
        lease_id = rpc_pb2.LeaseKeepAliveRequest.FromString(payload).ID
        lease = self.space.leases.find(lease_id)
        if lease:
            lease.renewals += 1
            self._renewed(lease)
        # TTL 0 is how a client hears that its lease is gone.
        return _encoded(rpc_pb2.LeaseKeepAliveResponse(ID=lease_id, TTL=lease.ttl_s if lease else 0))

    def _lease_expire(self, payload: bytes) -> bytes:
        term, lease_id, renewals = commands.read_expiration(payload)
        lease = self.space.leases.find(lease_id)
        if lease and term == self.space.leases.term and renewals == lease.renewals:
            self._end(lease_id)
        return b""

    def _lease_take_over(self, payload: bytes) -> bytes:
        leases = self.space.leases
        leases.term = max(leases.term, commands.read_term(payload))
        for lease in leases:
            self._renewed(lease)
        return b""

    def has_run(self, name: str) -> bool:
        """Whether a member of this name has been part of the cluster."""
        return any(member.name == name and member.clientURLs for member in self.members.values())

    def _publish(self, payload: bytes) -> bytes:
        member = rpc_pb2.Member.FromString(payload)
        # A name that was removed and has come back is another member.
        self.members = {known.ID: known for known in self.members.values() if known.name != member.name}
        self.members[member.ID] = member
        return b""

    def _cluster(self, payload: bytes) -> bytes:
        self.cluster_id = self.cluster_id or commands.read_cluster(payload)
        return b""

    def _alarm(self, payload: bytes) -> bytes:
        alarms = self.alarms.change(rpc_pb2.AlarmRequest.FromString(payload))
        return _encoded(rpc_pb2.AlarmResponse(alarms=alarms))

    def _renewed(self, lease: Lease) -> None:
        for observer in self.observers:
            observer.lease_renewed(lease)

    def _end(self, lease_id: int) -> None:
        txn.revoke(self.space, lease_id)
        for observer in self.observers:
            observer.lease_ended(lease_id)


def _encoded(message: Message) -> bytes:
    return message.SerializeToString()
