"""Watchers and the hub that wakes them: pure. History is the queue.

The hub copies no event into any queue. When a revision commits it only marks the watchers that want it, each with
the first revision it has not been sent, and wakes their streams (`watch_stream`); a stream reads the events from the
keys' history when its client is ready to take them. A slow client thus costs nothing but its own delay, and order,
uniqueness and completeness follow from reading one contiguous history. If compaction passes a lagging watcher, it is
cancelled with the compact revision, as etcd does.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from minik8s.store import encoding
from minik8s.store.mvcc import Mvcc, Record, in_range

_CACHED_EVENTS_MAX = 256
_CACHED_EVENT_BYTES_MAX = 64 * 1024


@dataclass(slots=True, eq=False)
class Watcher:
    """One watch of one stream. Complete up to `next_revision` - 1 while behind, else up to the current revision."""

    id: int
    key: bytes
    end: bytes  # as in Range: empty for one key, a zero byte for everything from `key` on
    next_revision: int
    puts: bool = True
    deletes: bool = True
    prev_kv: bool = False
    progress_notify: bool = False
    fragment: bool = False
    is_behind: bool = False
    is_idle: bool = False  # nothing was sent since the last tick

    def wants(self, record: Record) -> bool:
        return (self.puts if record.version else self.deletes) and in_range(record.key, self.key, self.end)


class Wakeable(Protocol):
    """A stream, as the hub sees it."""

    def lag(self, watcher: Watcher) -> None:
        """`watcher` has become behind."""

    def revision_committed(self, revision: int) -> None:
        """Called only while the stream waits for one (`WatchHub.await_revision`)."""


class WatchHub:
    """All watchers of a member, found by the keys they watch. An observer of the machine."""

    def __init__(self, mvcc: Mvcc) -> None:
        self.mvcc = mvcc
        self._by_key: defaultdict[bytes, dict[Watcher, Wakeable]] = defaultdict(dict)
        self._by_range: dict[Watcher, Wakeable] = {}
        self._waiting: set[Wakeable] = set()
        # Most watchers are at the newest revisions, so each event is encoded once for all of them.
        self._encoded: dict[tuple[Record, bool], bytes] = {}
        self.watcher_count = 0

    def add(self, watcher: Watcher, stream: Wakeable) -> None:
        (self._by_range if watcher.end else self._by_key[watcher.key])[watcher] = stream
        self.watcher_count += 1
        if watcher.next_revision <= self.mvcc.revision:
            self._mark(watcher, stream)

    def remove(self, watcher: Watcher) -> None:
        self.watcher_count -= 1
        if watcher.end:
            del self._by_range[watcher]
            return
        watchers = self._by_key[watcher.key]
        del watchers[watcher]
        if not watchers:
            del self._by_key[watcher.key]

    def await_revision(self, stream: Wakeable) -> None:
        """Tell `stream` of the next revision, once."""
        self._waiting.add(stream)

    def forget(self, stream: Wakeable) -> None:
        """The stream is closed; its watchers are removed one by one."""
        self._waiting.discard(stream)

    def revision_committed(self, revision: int) -> None:
        for record in self.mvcc.batch(revision):
            self._mark_wanting(self._by_key.get(record.key, {}).items(), record, revision)
            self._mark_wanting(self._by_range.items(), record, revision)
        waiting, self._waiting = self._waiting, set()
        for stream in waiting:
            stream.revision_committed(revision)

    def lease_renewed(self, lease: object) -> None:
        """Leases do not matter to watchers."""

    def lease_ended(self, lease_id: int) -> None:
        """The deletions that came with it do."""

    def state_restored(self, revision_before: int) -> None:
        """Every watcher reads on where it was, never before (etcd's issue 15271), or is told of the compaction that
        passed it."""
        current = self.mvcc.revision
        for watcher, stream in [
            *self._by_range.items(),
            *((w, s) for by in self._by_key.values() for w, s in by.items()),
        ]:
            if not watcher.is_behind and watcher.next_revision <= current:
                # Complete up to here: it was only not told of what it does not want.
                watcher.next_revision = max(watcher.next_revision, revision_before + 1)
                if watcher.next_revision <= current:
                    self._mark(watcher, stream)
        self._encoded.clear()
        waiting, self._waiting = self._waiting, set()
        for stream in waiting:
            stream.revision_committed(current)

    def event(self, record: Record, *, prev_kv: bool) -> bytes:
        """The Event of a change, encoded as field 11: of WatchResponse (events)."""
        encoded = self._encoded.get((record, prev_kv))
        if encoded is None:
            encoded = self._encode(record, prev_kv)
            if len(encoded) <= _CACHED_EVENT_BYTES_MAX:
                if len(self._encoded) >= _CACHED_EVENTS_MAX:
                    self._encoded.clear()
                self._encoded[record, prev_kv] = encoded
        return encoded

    def _mark_wanting(self, found: Iterable[tuple[Watcher, Wakeable]], record: Record, revision: int) -> None:
        for watcher, stream in found:
            if not watcher.is_behind and watcher.next_revision <= revision and watcher.wants(record):
                # Nothing it wanted came before, so it need not look there.
                watcher.next_revision = revision
                self._mark(watcher, stream)

    def _mark(self, watcher: Watcher, stream: Wakeable) -> None:
        watcher.is_behind = True
        stream.lag(watcher)

    def _encode(self, record: Record, prev_kv: bool) -> bytes:
        event = encoding.integer(1, not record.version) + record.framed
        before = record.mod_revision - 1
        if prev_kv and before >= self.mvcc.compact_revision and (old := self.mvcc.get(record.key, before)):
            event += encoding.reframe(3, old.framed)
        return encoding.message(11, event)
