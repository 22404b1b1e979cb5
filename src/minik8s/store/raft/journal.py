"""The log in memory, in the shape PySyncObj wants (its Journal), and the records that make it durable.

Raft writes here at once; `take` hands everything new to the writer as one group, and `synced` says that the group is on
disk. What may be said to others depends on how far that is: `sequence` counts records, `durable_index` entries.
Not in here, until snapshots come: dropping the head of the log.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from pysyncobj.journal import Journal as PySyncObjJournal

Entry = tuple[bytes, int, int]
"""(command, index, term), PySyncObj's order."""


class Added(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """An entry was appended."""

    index: int
    term: int
    command: bytes


class Truncated(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """All entries from `index` on were dropped: another leader's replaced them."""

    index: int


class HardState(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Term and vote, which must survive a crash (Raft §5)."""

    term: int
    vote: str | None


class Committed(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Known to be committed. A hint that spares a restarted member waiting: never needed for safety."""

    index: int


Record = Added | Truncated | HardState | Committed
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


@dataclass(slots=True)
class State:
    """What a log's records add up to."""

    entries: list[Entry] = field(default_factory=list)
    term: int = 0
    vote: str | None = None
    commit_index: int = 0

    def replay(self, group: bytes) -> None:
        """Add one group of records. Raises ValueError if they contradict what came before."""
        for record in _decode(group):
            match record:
                case Added(index, term, command):
                    expected = self.entries[-1][1] + 1 if self.entries else 1
                    if index != expected:
                        raise ValueError(f"entry {index} where {expected} should be")
                    self.entries.append((command, index, term))
                case Truncated(index):
                    if index <= self.commit_index:
                        raise ValueError(f"truncation from {index}, but {self.commit_index} is committed")
                    del self.entries[index - 1 :]
                case HardState(term, vote):
                    self.term, self.vote = term, vote
                case Committed(index):
                    self.commit_index = index


class TruncatesCommitted(Exception):
    """A leader wants to replace an entry that this member knows to be committed: a bug; stop before damage spreads."""


class Journal(PySyncObjJournal):
    """PySyncObj's log. Entries are numbered from 1 without gap."""

    def __init__(self, state: State | None = None) -> None:
        state = state or State()
        self._entries = state.entries
        self._term = state.term
        self._vote = state.vote
        # A commit index beyond the log would make an uncommitted entry look committed once it is written there.
        self._commit_index = min(state.commit_index, len(self._entries))
        self._commit_written = self._commit_index
        self._records: list[Record] = []
        self.sequence = 0
        """Records ever made in this process."""
        self.durable_sequence = 0
        self.durable_index = len(self._entries)
        """Every entry up to here is on disk."""
        self._taken_index = self.durable_index
        self._taken_sequence = 0

    @property
    def last_index(self) -> int:
        return len(self._entries)

    def entry(self, index: int) -> Entry | None:
        """The entry at a log index; None outside the log."""
        return self._entries[index - 1] if 1 <= index <= len(self._entries) else None

    def term_at(self, index: int) -> int:
        return self._entries[index - 1][2]

    def entries_from(self, first: int, max_bytes: int) -> list[Entry]:
        """Entries from `first` on, at least one, up to about `max_bytes`."""
        found: list[Entry] = []
        size = 0
        for position in range(first - 1, len(self._entries)):
            found.append(self._entries[position])
            size += len(self._entries[position][0])
            if size >= max_bytes:
                break
        return found

    def first_index_of_term_at(self, index: int) -> int:
        """Where the run of entries with the same term as the one at `index` starts, above what is committed."""
        term = self.term_at(index)
        while index - 1 > self._commit_index and self.term_at(index - 1) == term:
            index -= 1
        return index

    # To the writer.

    @property
    def is_dirty(self) -> bool:
        """Something waits to be written. A commit index alone does not: it rides along with the next group."""
        return bool(self._records)

    def take(self) -> bytes:
        """Everything new, as one group of records; empty if nothing is. One group is under way at a time."""
        if not self._records:
            return b""
        records, self._records = self._records, []
        if self._commit_index > self._commit_written:
            self._commit_written = self._commit_index
            records.append(Committed(self._commit_index))
        self._taken_index = self.last_index
        self._taken_sequence = self.sequence
        return _encode(records)

    def synced(self) -> None:
        """The group taken last is durable."""
        self.durable_index = self._taken_index
        self.durable_sequence = self._taken_sequence

    def state_records(self) -> bytes:
        """What a new segment starts with, so that it needs none before it but for entries."""
        return _encode([HardState(self._term, self._vote), Committed(self._commit_written)])

    def _record(self, record: Record) -> None:
        self._records.append(record)
        self.sequence += 1

    # From PySyncObj, under its names.

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append, or find the entry there already. Truncates only at a conflict (Raft §5.3): PySyncObj alone would
        truncate all that follows the previous entry, and so forget what it has acknowledged."""
        if idx <= self.last_index:
            if self.term_at(idx) == term:
                return
            self._truncate(idx)
        assert idx == self.last_index + 1, f"entry {idx} after {self.last_index}"
        assert not self._entries or term >= self._entries[-1][2], "terms never decrease along the log"
        self._entries.append((command, idx, term))
        self._record(Added(idx, term, command))

    def _truncate(self, index: int) -> None:
        if index <= self._commit_index:
            raise TruncatesCommitted(f"entry {index} conflicts with a leader's, but {self._commit_index} is committed")
        del self._entries[index - 1 :]
        self.durable_index = min(self.durable_index, index - 1)
        self._taken_index = min(self._taken_index, index - 1)
        self._record(Truncated(index))

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        if (term, votedForNodeId) != (self._term, self._vote):
            assert term >= self._term, "terms never decrease"
            self._term, self._vote = term, votedForNodeId
            self._record(HardState(term, votedForNodeId))

    def getCurrentTerm(self) -> int:
        return self._term

    def getVotedForNodeId(self) -> str | None:
        return self._vote

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        self._commit_index = raftCommitIndex

    def getRaftCommitIndex(self) -> int:
        # PySyncObj counts the first entry, the same no-op on every member, as committed and applied.
        return max(1, self._commit_index)

    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def onOneSecondTimer(self) -> None:
        """The writer decides when to write."""

    def _destroy(self) -> None:
        """The writer owns the files."""

    def clear(self) -> None:
        raise AssertionError("only a snapshot may clear the log")

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        raise AssertionError("`add` truncates, at a conflict")

    def deleteEntriesTo(self, entryTo: int) -> None:
        raise AssertionError("only a snapshot may drop the head of the log")


def replay(groups: Iterable[bytes]) -> State:
    """The state that groups of records, oldest first, add up to. Raises ValueError, msgspec.DecodeError."""
    state = State()
    for group in groups:
        state.replay(group)
    return state
