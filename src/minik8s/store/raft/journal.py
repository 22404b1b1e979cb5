"""The log in memory, in the shape PySyncObj wants (its Journal), and the records that make it durable.

Raft writes here at once; `take` hands everything new to the writer as one group, and `synced` says that the group is on
disk. What may be said to others depends on how far that is: `sequence` counts records, `durable_index` entries.

The head of the log is dropped once a snapshot covers it. The first entry that is left stays as a mark: its term is
needed to compare logs, its command, which may be gone, is not. A new log begins with entry 1, the same on every member.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from pysyncobj.journal import Journal as PySyncObjJournal

from minik8s.store.raft.roster import Configuration, decode_entry
from minik8s.store.raft.snapshots import Header

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


class Installed(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A snapshot that ends with this entry took the place of the whole log."""

    index: int
    term: int


Record = Added | Truncated | HardState | Committed | Installed
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


@dataclass(slots=True)
class State:
    """What a log's records add up to, and the snapshot that stands before them."""

    entries: list[Entry] = field(default_factory=list)
    term: int = 0
    vote: str | None = None
    commit_index: int = 0
    snapshot: Header | None = None
    highest: int = 0
    """The last entry seen since this was set to 0."""

    def replay(self, group: bytes) -> None:
        """Add one group of records. Raises ValueError if they contradict what came before."""
        for record in _decode(group):
            match record:
                case Added(index, term, command):
                    # The head of the log may have been dropped.
                    expected = self.entries[-1][1] + 1 if self.entries else index
                    if index != expected or index < 1:
                        raise ValueError(f"entry {index} where {expected} should be")
                    self.entries.append((command, index, term))
                    self.highest = max(self.highest, index)
                case Truncated(index):
                    if index <= self.commit_index:
                        raise ValueError(f"truncation from {index}, but {self.commit_index} is committed")
                    if self.entries:
                        del self.entries[max(0, index - self.entries[0][1]) :]
                case HardState(term, vote):
                    self.term, self.vote = term, vote
                case Committed(index):
                    self.commit_index = index
                case Installed(index, term):
                    self.entries = [(b"", index, term)]
                    self.commit_index = max(self.commit_index, index)
                    self.highest = max(self.highest, index)

    def stand_on_snapshot(self) -> bool:
        """Join log and snapshot; whether the log had to give way. Raises ValueError if something is missing between
        them."""
        first = self.entries[0][1] if self.entries else None
        if self.snapshot is None:
            if first not in (None, 1):
                raise ValueError(f"the log begins with entry {first}, and there is no snapshot of what was before")
            return False
        index, term = self.snapshot.index, self.snapshot.term
        self.commit_index = max(self.commit_index, index)
        if first == index + 1:
            self.entries.insert(0, (b"", index, term))
        if first is not None and first > index + 1:
            raise ValueError(f"the log begins with entry {first}, the snapshot ends with {index}")
        if first is not None and index <= self.entries[-1][1] and self.entries[index - self.entries[0][1]][2] == term:
            return False
        # Installed, and then a crash came before the log was told.
        self.entries = [(b"", index, term)]
        return True


class TruncatesCommitted(Exception):
    """A leader wants to replace an entry that this member knows to be committed: a bug; stop before damage spreads."""


class Journal(PySyncObjJournal):
    """PySyncObj's log. Entries are numbered from 1 without gap."""

    def __init__(self, state: State | None = None, bootstrap: Configuration | None = None) -> None:
        """`bootstrap` is the configuration until the log or the snapshot has one. Raises ValueError."""
        state = state or State()
        gives_way = state.stand_on_snapshot()
        self._entries = state.entries
        self._term = state.term
        self._vote = state.vote
        # A commit index beyond the log would make an uncommitted entry look committed once it is written there.
        self._commit_index = min(state.commit_index, self.last_index)
        self._commit_written = self._commit_index
        self._state_taken = self._state_before = self._state_records()
        self._records: list[Record] = []
        self.sequence = 0
        """Records ever made in this process."""
        self.durable_sequence = 0
        self.durable_index = self.last_index
        """Every entry up to here is on disk."""
        self._taken_index = self.durable_index
        self._taken_sequence = 0
        self.size_bytes = sum(len(command) for command, _, _ in self._entries)
        """Of the commands held."""
        self._configurations = [(0, bootstrap or Configuration({}))]
        if state.snapshot and state.snapshot.configuration:
            self._configurations.append((state.snapshot.index, state.snapshot.configuration))
        for command, index, _ in self._entries:
            self._note_configuration(command, index)
        if gives_way:
            self._record(Installed(self.first_index, self._entries[0][2]))

    @property
    def first_index(self) -> int:
        """The mark's, from which on terms are known; 1 for an empty log."""
        return self._entries[0][1] if self._entries else 1

    @property
    def last_index(self) -> int:
        return self._entries[-1][1] if self._entries else 0

    def entry(self, index: int) -> Entry:
        """The entry at an index of the log."""
        assert self.first_index <= index <= self.last_index, index
        return self._entries[index - self._entries[0][1]]

    def term_at(self, index: int) -> int:
        return self.entry(index)[2]

    def holds(self, index: int, term: int) -> bool:
        """Whether all up to this entry is here, if only in a snapshot's form: entries that agree at one index and
        term agree before."""
        return index < self.first_index or (index <= self.last_index and self.term_at(index) == term)

    def between(self, first: int, count: int) -> list[Entry]:
        """Up to `count` entries from `first` on; none if the log does not reach there."""
        place = first - self.first_index
        return self._entries[place : place + count] if place >= 0 else []

    def entries_from(self, first: int, max_bytes: int) -> list[Entry]:
        """Entries from `first` on, at least one, up to about `max_bytes`."""
        found: list[Entry] = []
        size = 0
        for place in range(first - self.first_index, len(self._entries)):
            found.append(self._entries[place])
            size += len(self._entries[place][0])
            if size >= max_bytes:
                break
        return found

    def first_index_of_term_at(self, index: int) -> int:
        """Where the run of entries with the same term as the one at `index` starts, above what is committed."""
        term = self.term_at(index)
        while index - 1 > max(self._commit_index, self.first_index) and self.term_at(index - 1) == term:
            index -= 1
        return index

    # Members.

    @property
    def configuration(self) -> Configuration:
        """The last in the log, committed or not."""
        return self._configurations[-1][1]

    @property
    def configured_at(self) -> int:
        """The index of the entry that made it; 0 for the members that the cluster was started with."""
        return self._configurations[-1][0]

    def configuration_at(self, index: int) -> Configuration | None:
        """What was in force after an entry; None if nothing had been changed by then."""
        at, found = max((made for made in self._configurations if made[0] <= index), key=lambda made: made[0])
        return found if at else None

    def _note_configuration(self, command: bytes, index: int) -> None:
        if configuration := decode_entry(command):
            self._configurations.append((index, configuration))

    # Snapshots.

    def compact(self, index: int) -> None:
        """Drop what is before `index`, which a durable snapshot covers; the entry itself stays as the mark."""
        assert index <= self._commit_index
        place = index - self.first_index
        if place > 0:
            self.size_bytes -= sum(len(command) for command, _, _ in self._entries[:place])
            del self._entries[:place]

    def install(self, header: Header) -> None:
        """A leader's snapshot takes the place of the whole log, which does not hold its last entry."""
        assert header.index > self._commit_index
        assert not self.holds(header.index, header.term)
        self._entries = [(b"", header.index, header.term)]
        self.size_bytes = 0
        self._commit_index = header.index
        self.durable_index = self._taken_index = header.index - 1
        del self._configurations[1:]
        if header.configuration:
            self._configurations.append((header.index, header.configuration))
        self._record(Installed(header.index, header.term))

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
        self._state_before, self._state_taken = self._state_taken, self._state_records()
        return _encode(records)

    def synced(self) -> None:
        """The group taken last is durable."""
        self.durable_index = self._taken_index
        self.durable_sequence = self._taken_sequence

    def state_records(self) -> bytes:
        """What a segment that starts with the group taken last has before it, so that it needs no other segment but for
        entries: the state before that group, whose own records come after."""
        return self._state_before

    def _state_records(self) -> bytes:
        return _encode([HardState(self._term, self._vote), Committed(self._commit_written)])

    def record_commit(self) -> None:
        """Have the commit index written although nothing else is new."""
        self._commit_written = self._commit_index
        self._record(Committed(self._commit_index))

    def _record(self, record: Record) -> None:
        self._records.append(record)
        self.sequence += 1

    # From PySyncObj, under its names.

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append, or find the entry there already. Truncates only at a conflict (Raft §5.3): PySyncObj alone would
        truncate all that follows the previous entry, and so forget what it has acknowledged."""
        if idx <= self.last_index:
            if self.holds(idx, term):
                return
            self._truncate(idx)
        assert idx == self.last_index + 1, f"entry {idx} after {self.last_index}"
        assert not self._entries or term >= self._entries[-1][2], "terms never decrease along the log"
        self._entries.append((command, idx, term))
        self.size_bytes += len(command)
        self._note_configuration(command, idx)
        self._record(Added(idx, term, command))

    def _truncate(self, index: int) -> None:
        if index <= self._commit_index:
            raise TruncatesCommitted(f"entry {index} conflicts with a leader's, but {self._commit_index} is committed")
        place = index - self.first_index
        self.size_bytes -= sum(len(command) for command, _, _ in self._entries[place:])
        del self._entries[place:]
        while self._configurations[-1][0] >= index:
            del self._configurations[-1]
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
