"""What members say to each other, and what a log entry holds: msgpack of closed types, so that a peer's bytes can only
become these values. Anything else is a DecodeError, and the link that carried it is closed."""

from typing import TypeAlias

import msgspec


class Message(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Root of everything sent between members."""


class Hello(Message, tag=1):
    """First frame of a connection, in both directions."""

    version: int
    token: str
    sender: str
    receiver: str
    is_blank: bool = False
    """The sender has no term, vote or entry: it is new, or has lost its data."""
    knows_you: bool = False
    """The receiver has been part of this cluster, as far as the sender knows."""


class Append(Message, tag=2):
    """Raft's AppendEntries; entries are (term, command) from prev_index + 1 on, none in a heartbeat."""

    term: int
    epoch: int
    """Counts the times the leader rewound this follower; a rejection of an older epoch is stale."""
    commit_index: int
    prev_index: int
    prev_term: int
    entries: list[tuple[int, bytes]]


class Ack(Message, tag=3):
    """Answer to Append, sent when what it claims is durable: all before next_index matches, or where to try next."""

    term: int
    epoch: int
    next_index: int
    success: bool


class RequestVote(Message, tag=4):
    """A candidate asks, its own vote being durable."""

    term: int
    last_index: int
    last_term: int
    is_transfer: bool = False
    """The leader itself asked for this election, so being content with it is no reason to refuse."""


class Vote(Message, tag=5):
    """Granted and durable. Refusals are silent."""

    term: int


class StaleTerm(Message, tag=6):
    """The receiver's term is behind: a leader among us steps down, a candidate catches up."""

    term: int


class PreVote(Message, tag=7):
    """Would you vote for me in term + 1? Asking changes nothing (Raft thesis §9.6)."""

    term: int
    round: int
    last_index: int
    last_term: int


class PreVoteReply(Message, tag=8):
    """`term` is the asker's, given back."""

    term: int
    round: int


class Propose(Message, tag=9):
    """A follower's batch for the leader of `term`, and of no other term."""

    term: int
    incarnation: int
    sequence: int
    command: bytes


class Refused(Message, tag=10):
    """That batch was not proposed and will not be."""

    incarnation: int
    sequence: int


class Confirm(Message, tag=11):
    """ReadIndex: am I still your leader?"""

    term: int
    round: int


class Confirmed(Message, tag=12):
    """Yes."""

    term: int
    round: int


class ReadRequest(Message, tag=13):
    """A follower asks the leader for a read point."""

    number: int


class ReadReply(Message, tag=14):
    """Reads that wait for `index` see every write acknowledged before the request."""

    number: int
    index: int


class TimeoutNow(Message, tag=15):
    """The leader of `term` wants the receiver to lead (Raft thesis §3.10)."""

    term: int


class Chunk(Message, tag=16):
    """A piece of the leader's snapshot, as its file has it; empty at the end."""

    term: int
    index: int
    snapshot_term: int
    offset: int
    data: bytes


class ChunkAck(Message, tag=17):
    """All of that snapshot before `next_offset` is here; the rest is to be sent from there."""

    term: int
    index: int
    next_offset: int


class Change(Message, tag=18):
    """A member asks the leader to add a learner or a voter, promote or remove a member."""

    number: int
    kind: str
    name: str
    host: str = ""
    port: int = 0


class Changed(Message, tag=19):
    """It stands in the log at `index` and `term`, or was refused, and why."""

    number: int
    index: int
    term: int
    refusal: str = ""
    why: str = ""


AnyMessage: TypeAlias = (
    Hello
    | Append
    | Ack
    | RequestVote
    | Vote
    | StaleTerm
    | PreVote
    | PreVoteReply
    | Propose
    | Refused
    | Confirm
    | Confirmed
    | ReadRequest
    | ReadReply
    | TimeoutNow
    | Chunk
    | ChunkAck
    | Change
    | Changed
)


class Batch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The commands of one log entry, and who waits for their results."""

    member: str
    incarnation: int
    """Drawn at each start of a member, so that a restarted one does not take its predecessor's results."""
    sequence: int
    commands: list[bytes]


encode = msgspec.msgpack.Encoder().encode
_message_decoder = msgspec.msgpack.Decoder(AnyMessage)


def decode_message(data: bytes | memoryview) -> AnyMessage:
    """Raises msgspec.DecodeError."""
    try:
        return _message_decoder.decode(data)
    except UnicodeDecodeError as error:
        # The one error of another family that msgspec lets through.
        raise msgspec.DecodeError(str(error)) from error


# The first byte of an entry is PySyncObj's command type; it writes a bare 1 for a new leader's no-op itself.
_REGULAR = b"\x00"
_batch_decoder = msgspec.msgpack.Decoder(Batch)


def encode_batch(batch: Batch) -> bytes:
    """The command of a log entry."""
    return _REGULAR + encode(batch)


def decode_batch(command: bytes) -> Batch | None:
    """The batch of a log entry; None for a no-op. Raises msgspec.DecodeError."""
    if command[:1] != _REGULAR:
        return None
    try:
        return _batch_decoder.decode(memoryview(command)[1:])
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error
