"""Bytes from disks and peers: any give a value or a named error, never anything else."""

import asyncio
import contextlib
import struct
from pathlib import Path

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minik8s.store.raft import messages, roster
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.errors import LogCorrupt
from minik8s.store.raft.frames import frame
from minik8s.store.raft.journal import Journal, State
from minik8s.store.raft.snapshots import Framer, Header, payloads, read_header
from minik8s.store.raft.transport import Link
from minik8s.store.raft.wal import scan

PATH = Path("fuzzed")


def whole_log() -> bytes:
    """A segment as a member writes it."""
    journal = Journal()
    groups = []
    for index in range(1, 6):
        journal.add(b"\0command %d" % index, index, 1)
        journal.setCurrentTerm(index, "a")
        groups.append(journal.take())
    journal.add(b"\0other", 4, 9)
    journal.setRaftCommitIndex(3)
    groups.append(journal.take())
    return b"".join(frame(number, group) for number, group in enumerate(groups, 1))


def whole_snapshot() -> bytes:
    framer = Framer()
    members = roster.Configuration({"a": roster.Place("h", 1), "b": roster.Place("h", 2, True)})
    return b"".join(
        [framer.header(Header(9, 2, members)), framer.chunk(b"x" * 50), framer.chunk(b"y" * 50), framer.end()]
    )


LOG, SNAPSHOT = whole_log(), whole_snapshot()


@st.composite
def damaged(draw, data: bytes):
    """Bytes changed, cut out, doubled or cut off: what disks do, and more."""
    result = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(result)))
        match draw(st.sampled_from(["change", "cut", "insert", "end"])):
            case "change" if place < len(result):
                result[place] = draw(st.integers(0, 255))
            case "cut":
                del result[place : place + draw(st.integers(1, 30))]
            case "insert":
                result[place:place] = draw(st.binary(max_size=30))
            case "end":
                del result[place:]
    return bytes(result)


def recover(data: bytes) -> State:
    """What a member does with a segment."""
    frames, _ = scan(PATH, data, expected=1, is_last=True)
    state = State()
    for _, payload in frames:
        state.replay(payload)
    Journal(state)
    return state


def check_log(data: bytes) -> None:
    with contextlib.suppress(LogCorrupt, ValueError, msgspec.DecodeError):
        recover(data)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_as_a_log_give_a_state_or_a_named_error(data):
    check_log(data)


@settings(max_examples=600, deadline=None)
@given(damaged(LOG))
def test_a_damaged_log_gives_a_prefix_of_it_or_a_named_error(data):
    whole = recover(LOG)
    with contextlib.suppress(LogCorrupt):
        state = recover(data)
        # A torn tail may be cut; what is left was written.
        assert all(entry[0] in LOG for entry in state.entries)
        assert state.term <= whole.term


@settings(max_examples=400, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_whole_frames_of_any_bytes_give_a_state_or_a_named_error(groups):
    check_log(b"".join(frame(number, group) for number, group in enumerate(groups, 1)))


records = st.lists(
    st.one_of(
        st.tuples(st.just(1), st.integers(-2, 8), st.integers(0, 3), st.binary(max_size=5)),
        st.tuples(st.just(2), st.integers(-2, 8)),
        st.tuples(st.just(3), st.integers(0, 5), st.none() | st.text(max_size=3)),
        st.tuples(st.just(4), st.integers(-2, 9)),
        st.tuples(st.just(5), st.integers(-2, 9), st.integers(0, 3)),
    ),
    max_size=12,
)


@settings(max_examples=600, deadline=None)
@given(records)
def test_any_records_give_a_state_or_a_named_error(found):
    check_log(frame(1, msgspec.msgpack.encode(found)))


def check_snapshot(data: bytes, piece: int) -> list[bytes] | None:
    pieces = (data[first : first + piece] for first in range(0, len(data), piece))
    try:
        found = payloads(PATH, iter(pieces))
        read_header(PATH, next(found, b""))
        return list(found)
    except LogCorrupt:
        return None


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 100))
def test_any_bytes_as_a_snapshot_give_chunks_or_a_named_error(data, piece):
    check_snapshot(data, piece)


@settings(max_examples=600, deadline=None)
@given(damaged(SNAPSHOT), st.integers(1, 100))
def test_a_damaged_snapshot_gives_all_of_it_or_a_named_error(data, piece):
    assert check_snapshot(data, piece) in (None, [b"x" * 50, b"y" * 50])


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=200))
@example(b"\x94\xd9\t\x00\x00\x00\x00\x00\x00\x00\x00\x80")  # found: a name that is not UTF-8
@example(b"\x91\x81\xd9\t\x00\x00\x00\x00\x00\x00\x00\x00\x80")
def test_any_bytes_as_a_message_or_an_entry_give_a_value_or_a_named_error(data):
    for decode in (messages.decode_message, messages.decode_batch, roster.decode_entry):
        for prefix in (b"", b"\0", b"\2"):
            with contextlib.suppress(msgspec.DecodeError):
                decode(prefix + data)


class Wire:
    """A transport that notes whether it was closed."""

    def __init__(self):
        self.is_aborted = False

    def is_closing(self):
        return self.is_aborted

    def abort(self):
        self.is_aborted = True

    def get_extra_info(self, name):
        return None

    def write(self, data):
        pass

    def get_write_buffer_size(self):
        return 0


class Net:
    """What a link tells its network."""

    def __init__(self):
        self.config = RaftConfig("a", PATH, {"a": ("h", 1), "b": ("h", 2)}, ("h", 1))
        self.received_from = []

    def met(self, link):
        return True

    def is_removed(self, name):
        return False

    def is_known(self, name):
        return name in self.config.peers

    def established(self, link, peer):
        pass

    def hello(self, receiver):
        return messages.Hello(3, "", "a", receiver)

    def are_members(self, hello):
        return True

    def received(self, peer, message):
        self.received_from.append((peer, message))


HELLO = messages.encode(messages.Hello(3, "", "b", "a"))


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.binary(max_size=80), max_size=4),
    st.booleans(),
    st.booleans(),
    st.integers(1, 50),
)
def test_any_bytes_on_a_connection_give_messages_or_its_end(frames, says_hello, are_framed, piece):
    async def scenario():
        network = Net()
        link, wire = Link(network, None), Wire()
        link.connection_made(wire)
        parts = [HELLO, *frames] if says_hello else frames
        data = b"".join((struct.pack("<I", len(part)) if are_framed else b"") + part for part in parts)
        for first in range(0, len(data), piece):
            link.data_received(data[first : first + piece])
        if not (says_hello and are_framed):
            assert not network.received_from

    asyncio.run(scenario())
