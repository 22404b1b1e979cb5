"""The keys and all their versions since the last compaction: pure, in memory, the same on every member.

`machine` writes (through `txn`), `range` and `watch` read. A version is kept as its encoded KeyValue, so that answers
and events are joined from ready bytes. A deletion is a version too, a tombstone, whose KeyValue is what a DELETE event
carries: key and mod_revision.

Revisions are contiguous: revision 1 is the empty store and each later one is one batch of changes, in the order they
were made. `batch(r)` therefore finds the changes of a revision by index.
"""

import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sortedcontainers import SortedList

from minik8s.store import encoding
from minik8s.store.errors import COMPACTED, FUTURE_REVISION, EtcdError
from minik8s.wire.etcd import kv_pb2

FROM_KEY = b"\0"
"""As a range_end: every key from `key` on."""


class Record(NamedTuple):
    """One version of a key."""

    key: bytes
    create_revision: int
    mod_revision: int
    version: int  # 0 marks a tombstone
    lease: int
    framed: bytes  # the whole as mvccpb.KeyValue, as field 2: of RangeResponse (kvs), Event (kv), PutResponse (prev_kv)

    @property
    def value(self) -> bytes:
        """Decoded on demand: most readers want the record as a whole."""
        return self.key_value().value

    def key_value(self) -> kv_pb2.KeyValue:
        """The record as a message."""
        return kv_pb2.Event.FromString(self.framed).kv


def _mod_revision(record: Record) -> int:
    return record.mod_revision


class Pin(NamedTuple):
    """The keys and their history at one moment: references to what never changes, kept apart from what does."""

    revision: int
    compact_revision: int
    first_batch: int
    versions: list[list[Record]]  # of each key; versions after `revision` may have been appended since
    batches: list[tuple[Record, ...]]

    def old(self) -> Iterator[Record]:
        """The versions older than the first batch, which only a key's oldest can be."""
        return (versions[0] for versions in self.versions if versions[0].mod_revision < self.first_batch)


class Mvcc:
    """Writes collect under revision+1 until `commit`; reads in between see them, as etcd's transactions do."""

    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = -1  # as etcd: compaction at 0 is allowed, once
        self.size_bytes = 0  # of all versions held
        self._versions: dict[bytes, list[Record]] = {}  # oldest first; never empty
        self._keys = SortedList()  # the keys of _versions
        self._live = SortedList()  # those whose newest version is no tombstone
        self._batches: list[tuple[Record, ...]] = []
        self._first_batch = 2  # the revision of _batches[0]
        self._pending: list[Record] = []

    @property
    def read_revision(self) -> int:
        """The revision a read sees: within a transaction that has written, the one it will commit as."""
        return self.revision + 1 if self._pending else self.revision

    @property
    def key_count(self) -> int:
        """How many keys exist now."""
        return len(self._live)

    @property
    def version_count(self) -> int:
        """How many versions are held, deletions included."""
        return sum(map(len, self._versions.values()))

    def get(self, key: bytes, revision: int = 0) -> Record | None:
        """The record of `key` at `revision` (0: now); None if it does not exist then. The revision must be held."""
        versions = self._versions.get(key)
        if not versions:
            return None
        record = versions[-1]
        if revision and record.mod_revision > revision:
            index = bisect_right(versions, revision, key=_mod_revision)
            if not index:
                return None
            record = versions[index - 1]
        return record if record.version else None

    def range(self, key: bytes, end: bytes, *, revision: int = 0, limit: int = 0) -> tuple[list[Record], int]:
        """The first `limit` (0: all) records of [key, end) in key order, and how many there are in all.

        Raises EtcdError if the history does not hold `revision`.
        """
        at = self.held_revision(revision)
        if not end:
            record = self.get(key, at)
            return ([record], 1) if record else ([], 0)
        if at == self.read_revision:
            first, last = self._bounds(self._live, key, end)
            stop = min(last, first + limit) if limit else last
            return [self._versions[k][-1] for k in self._live[first:stop]], max(last - first, 0)
        first, last = self._bounds(self._keys, key, end)
        records = [record for k in self._keys[first:last] if (record := self.get(k, at))]
        return records[:limit] if limit else records, len(records)

    def count(self, key: bytes, end: bytes, *, revision: int = 0) -> int:
        """How many keys of [key, end) exist at `revision`; raises as `range`."""
        if end and self.held_revision(revision) == self.read_revision:
            first, last = self._bounds(self._live, key, end)
            return max(last - first, 0)
        return self.range(key, end, revision=revision)[1]

    def held_revision(self, revision: int) -> int:
        """The revision to read at; raises EtcdError if it is compacted or yet to come. Not above 0 means now."""
        if revision <= 0:
            return self.read_revision
        if revision > self.read_revision:
            raise EtcdError(FUTURE_REVISION)
        if revision < self.compact_revision:
            raise EtcdError(COMPACTED)
        return revision

    def batch(self, revision: int) -> tuple[Record, ...]:
        """The changes that made `revision`, which must be in [compact_revision, revision now]."""
        return self._batches[revision - self._first_batch] if revision >= self._first_batch else ()

    def put(self, key: bytes, value: bytes, lease: int) -> None:
        """Write the next version of `key`."""
        old = self.get(key)
        revision = self.revision + 1
        created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
        key_value = kv_pb2.KeyValue(
            key=key, create_revision=created, mod_revision=revision, version=version, value=value, lease=lease
        )
        if old is None:
            self._live.add(key)
        self._append(Record(key, created, revision, version, lease, _framed(key_value)))

    def delete(self, key: bytes) -> None:
        """Write a tombstone over `key`, which must exist."""
        revision = self.revision + 1
        self._live.remove(key)
        self._append(Record(key, 0, revision, 0, 0, _framed(kv_pb2.KeyValue(key=key, mod_revision=revision))))

    def commit(self) -> bool:
        """Make what was written since the last commit one revision; False if nothing was."""
        if not self._pending:
            return False
        self.revision += 1
        self._batches.append(tuple(self._pending))
        self._pending.clear()
        return True

    def compact(self, revision: int) -> None:
        """Forget what no read at or after `revision` can see. Raises EtcdError if there is nothing to compact.

        Of each key the newest version at or below `revision` stays. A tombstone stays only exactly there, since a
        watch may start at the compact revision and must see it (etcd's issues 18089, 19179); the next compaction
        takes it. Only keys changed since the last compaction can have anything to forget.
        """
        assert not self._pending
        if revision <= self.compact_revision:
            raise EtcdError(COMPACTED)
        if revision > self.revision:
            raise EtcdError(FUTURE_REVISION)
        changed = self._batches[: max(revision - self._first_batch + 1, 0)]
        for key in {record.key for batch in changed for record in batch}:
            self._forget(key, revision)
        self.compact_revision = revision
        forgotten = max(revision - self._first_batch, 0)
        del self._batches[:forgotten]
        self._first_batch += forgotten

    def hash_kv(self, revision: int = 0) -> tuple[int, int]:
        """(CRC32 of all versions held up to `revision`, that revision): equal on members with equal histories.

        Members compare it only at equal compact revisions. Raises as `range`.
        """
        at = self.held_revision(revision)
        crc = 0
        for key in self._keys:
            for record in self._versions[key]:
                if record.mod_revision <= at:
                    crc = zlib.crc32(record.framed, crc)
        return crc, at

    def pin(self) -> Pin:
        """Everything as it is now, to be read while it goes on changing."""
        assert not self._pending
        return Pin(
            self.revision, self.compact_revision, self._first_batch, list(self._versions.values()), self._batches[:]
        )

    @classmethod
    def restored(cls, pin: Pin, old: Iterable[Record]) -> "Mvcc":
        """From a pin's numbers and batches, and what its `old` gave. Raises ValueError if they do not belong
        together."""
        mvcc = cls()
        mvcc.revision, mvcc.compact_revision, mvcc._first_batch = pin.revision, pin.compact_revision, pin.first_batch
        mvcc._batches = pin.batches
        if pin.first_batch + len(pin.batches) != pin.revision + 1:
            raise ValueError(f"{len(pin.batches)} batches from {pin.first_batch} on do not end at {pin.revision}")
        versions = mvcc._versions
        for record in old:
            if record.mod_revision >= pin.first_batch or record.key in versions:
                raise ValueError(f"a version of revision {record.mod_revision} among the old ones")
            versions[record.key] = [record]
            mvcc.size_bytes += len(record.framed)
        for revision, batch in enumerate(pin.batches, pin.first_batch):
            for record in batch:
                if record.mod_revision != revision:
                    raise ValueError(f"a version of revision {record.mod_revision} in the batch of {revision}")
                held = versions.setdefault(record.key, [])
                if held and revision == pin.compact_revision:
                    # Put and deleted in one revision, of which compaction left the second.
                    mvcc.size_bytes -= len(held.pop().framed)
                held.append(record)
                mvcc.size_bytes += len(record.framed)
        mvcc._keys = SortedList(versions)
        mvcc._live = SortedList(record.key for record in mvcc.live_records())
        return mvcc

    def become(self, other: "Mvcc") -> None:
        """Take over another's state, which must not be used any more."""
        self.__dict__.update(other.__dict__)

    def live_records(self) -> Iterator[Record]:
        """The newest version of every key that exists now, in no order."""
        return (versions[-1] for versions in self._versions.values() if versions[-1].version)

    def _append(self, record: Record) -> None:
        versions = self._versions.get(record.key)
        if versions is None:
            self._versions[record.key] = [record]
            self._keys.add(record.key)
        else:
            versions.append(record)
        self.size_bytes += len(record.framed)
        self._pending.append(record)

    def _forget(self, key: bytes, revision: int) -> None:
        versions = self._versions.get(key)
        if versions is None:
            return
        keep = bisect_right(versions, revision, key=_mod_revision) - 1
        if keep < 0:
            return
        newest = versions[keep]
        if not newest.version and newest.mod_revision < revision:
            keep += 1
        self.size_bytes -= sum(len(record.framed) for record in versions[:keep])
        if keep == len(versions):
            del self._versions[key]
            self._keys.remove(key)
        elif keep:
            # A new list: a pin may hold the old one.
            self._versions[key] = versions[keep:]

    @staticmethod
    def _bounds(keys: SortedList, key: bytes, end: bytes) -> tuple[int, int]:
        return keys.bisect_left(key), len(keys) if end == FROM_KEY else keys.bisect_left(end)


def _framed(key_value: kv_pb2.KeyValue) -> bytes:
    return encoding.message(2, key_value.SerializeToString())


def in_range(candidate: bytes, key: bytes, end: bytes) -> bool:
    """Whether a selector (§ Range selectors) holds `candidate`."""
    if not end:
        return candidate == key
    return key <= candidate and (end == FROM_KEY or candidate < end)
