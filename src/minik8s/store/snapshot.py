"""The replicated state as a stream of chunks, and back: what Raft's snapshots and backups carry.

Nothing is copied or forked: versions never change once written, so pinning the state is taking references (some 10 ms
for a million keys), and what is written or compacted while the stream is read does not show. A chunk takes about a
millisecond to make; whoever reads the stream pauses between chunks.

    Head, then the versions older than the history that is held, by key; then the history, revision by revision

`chunks(state)` pins at the call; `read` gives a new `State` or SnapshotUnreadable, and touches nothing else.
"""

import gc
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import msgspec
from google.protobuf.message import DecodeError

from minik8s.store.mvcc import Mvcc, Pin, Record
from minik8s.store.txn import Keyspace
from minik8s.wire.etcd import rpc_pb2

_RECORDS_PER_CHUNK = 500
_CHUNK_BYTES = 256 << 10
_FORMAT = 1


class SnapshotUnreadable(ValueError):
    """The stream is not one that `chunks` made."""


class _Lease(msgspec.Struct, frozen=True, array_like=True):
    id: int
    ttl_s: int
    renewals: int


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """All but the versions."""

    format: int
    revision: int
    compact_revision: int
    first_batch: int
    lease_term: int
    leases: list[_Lease]
    members: list[bytes]
    alarms: list[tuple[int, int]]
    cluster_id: int


class _Old(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Versions older than the history."""

    records: list[Record]


class _Batches(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The changes of consecutive revisions."""

    batches: list[tuple[Record, ...]]


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_Head).decode
_decode_part = msgspec.msgpack.Decoder(_Old | _Batches).decode


class State(Protocol):
    """The machine, or what `read` makes for one."""

    space: Keyspace
    members: dict[int, rpc_pb2.Member]
    cluster_id: int

    @property
    def raised_alarms(self) -> set[tuple[int, int]]:
        """(member id, AlarmType)."""


class Image:
    """A state that was read and that no one serves yet."""

    def __init__(self) -> None:
        self.space = Keyspace()
        self.members: dict[int, rpc_pb2.Member] = {}
        self.cluster_id = 0
        self.raised_alarms: set[tuple[int, int]] = set()


def chunks(state: State) -> Iterator[bytes]:
    """The state as it is now, however late the stream is read."""
    leases = state.space.leases
    pin = state.space.mvcc.pin()
    head = _Head(
        _FORMAT,
        pin.revision,
        pin.compact_revision,
        pin.first_batch,
        leases.term,
        [_Lease(lease.id, lease.ttl_s, lease.renewals) for lease in leases],
        [state.members[id].SerializeToString(deterministic=True) for id in sorted(state.members)],
        sorted(state.raised_alarms),
        state.cluster_id,
    )
    return _chunks(head, pin)


def read(stream: Iterable[bytes]) -> Image:
    """The state that `chunks` gave. Raises SnapshotUnreadable."""
    # Millions of objects are made and none goes: looking for garbage among them would more than double the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _read(iter(stream))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SnapshotUnreadable(f"the snapshot cannot be read: {error}") from error
    finally:
        if collects:
            gc.enable()


def _chunks(head: _Head, pin: Pin) -> Iterator[bytes]:
    yield _encode(head)
    for records in _sliced(pin.old(), _size):
        yield _encode(_Old(records))
    for batches in _sliced(pin.batches, lambda batch: sum(map(_size, batch))):
        yield _encode(_Batches(batches))


_T = TypeVar("_T", Record, tuple[Record, ...])


def _sliced(items: Iterable[_T], size_of: Callable[[_T], int]) -> Iterator[list[_T]]:
    part: list[_T] = []
    size = 0
    for item in items:
        part.append(item)
        size += size_of(item)
        if size >= _CHUNK_BYTES or len(part) >= _RECORDS_PER_CHUNK:
            yield part
            part, size = [], 0
    if part:
        yield part


def _size(record: Record) -> int:
    return len(record.framed)


def _read(stream: Iterator[bytes]) -> Image:
    first = next(stream, None)
    if first is None:
        raise SnapshotUnreadable("the snapshot is empty")
    head = _decode_head(first)
    if head.format != _FORMAT:
        raise SnapshotUnreadable(f"the snapshot has format {head.format}, this version reads {_FORMAT}")
    old: list[Record] = []
    batches: list[tuple[Record, ...]] = []
    for chunk in stream:
        match _decode_part(chunk):
            case _Old(records):
                old += records
            case _Batches(more):
                batches += more
    image = Image()
    try:
        image.space.mvcc = Mvcc.restored(Pin(head.revision, head.compact_revision, head.first_batch, [], batches), old)
    except ValueError as error:
        raise SnapshotUnreadable(f"the snapshot contradicts itself: {error}") from error
    leases = image.space.leases
    leases.term = head.lease_term
    for lease in head.leases:
        leases.restore(lease.id, lease.ttl_s, lease.renewals)
    for record in image.space.mvcc.live_records():
        leases.move(record.key, old=0, new=record.lease)
    for data in head.members:
        member = _member(data)
        image.members[member.ID] = member
    image.raised_alarms = set(head.alarms)
    image.cluster_id = head.cluster_id
    return image


def _member(data: bytes) -> rpc_pb2.Member:
    try:
        return rpc_pb2.Member.FromString(data)
    except DecodeError as error:
        raise SnapshotUnreadable(f"the snapshot holds a member that cannot be read: {error}") from error
