"""What clients of a store asked and heard, as a file: one JSON object per line, in the order in which things ended.

`scripts/chaos` writes it, `minik8s verify` reads it, and any other recorder may. Times are seconds of one monotonic
clock, taken before a call is sent and after it is answered. Keys and values are text: bytes read as Latin-1.

An episode ends with a guard, a write that every earlier call preceded, and with all calls before it recorded; the
checker takes one episode at a time and carries the state over.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Root of what is compared and hashed."""


class KeyValue(_Value, frozen=True, array_like=True):
    """One version of a key, as etcd's KeyValue."""

    key: str
    value: str = ""
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    lease: int = 0


# Requests.


class Range(_Value, frozen=True, tag="range"):
    """[key, end), or one key without an end; at a revision of the past, or now (0)."""

    key: str
    end: str = ""
    revision: int = 0
    serializable: bool = False


class Put(_Value, frozen=True, tag="put"):
    """Values should be unique, so that a write whose answer was lost can be told from others."""

    key: str
    value: str
    lease: int = 0


class Delete(_Value, frozen=True, tag="delete"):
    """A key, or [key, end)."""

    key: str
    end: str = ""


class Compare(_Value, frozen=True):
    """One condition of a transaction; `value` is text for the target "value", else a number."""

    key: str
    target: Literal["version", "create", "mod", "value", "lease"]
    value: int | str
    result: Literal["equal", "greater", "less", "not_equal"] = "equal"


Operation: TypeAlias = Range | Put | Delete


class Txn(_Value, frozen=True, tag="txn"):
    """A transaction without nested ones."""

    compare: tuple[Compare, ...] = ()
    success: tuple[Operation, ...] = ()
    failure: tuple[Operation, ...] = ()


class Compact(_Value, frozen=True, tag="compact"):
    """Forget what no read at or after `revision` sees."""

    revision: int


class Grant(_Value, frozen=True, tag="grant"):
    """A lease with an id of the client's choice, and a TTL that outlives the history: expiry is not modelled."""

    id: int


class Revoke(_Value, frozen=True, tag="revoke"):
    """End a lease, and its keys with it."""

    id: int


Request: TypeAlias = Range | Put | Delete | Txn | Compact | Grant | Revoke


# Answers.


class Ranged(_Value, frozen=True, tag="ranged"):
    """`kvs` is None only in the model's answers: read from a past that the state does not hold."""

    kvs: tuple[KeyValue, ...] | None


class Deleted(_Value, frozen=True, tag="deleted"):
    """How many keys a deletion met."""

    count: int


class Written(_Value, frozen=True, tag="written"):
    """A put has nothing to say."""


class Answer(_Value, frozen=True):
    """The header's revision, and a result for each operation; or the text of an error that the request deserved."""

    revision: int = 0
    results: tuple[Ranged | Deleted | Written, ...] = ()
    succeeded: bool | None = None  # of a transaction
    error: str = ""


# Records.


class Call(msgspec.Struct, frozen=True, tag="call", omit_defaults=True):
    """One request. With neither `answer` nor `refused` its outcome is unknown: it may have happened, or happen yet."""

    client: int
    member: str
    begin_s: float
    end_s: float
    request: Request
    answer: Answer | None = None
    refused: str = ""  # an error that promises that nothing happened or will

    @property
    def is_unknown(self) -> bool:
        return self.answer is None and not self.refused


class Event(_Value, frozen=True, array_like=True):
    """A change as a watch tells it; `previous` only where it was asked for."""

    kind: Literal["put", "delete"]
    kv: KeyValue
    previous: KeyValue | None = None


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a watch: created, events, cancelled, or, with none of these, progress."""

    at_s: float
    revision: int
    events: tuple[Event, ...] = ()
    is_created: bool = False
    is_cancelled: bool = False
    compact_revision: int = 0

    @property
    def is_progress(self) -> bool:
        return not (self.events or self.is_created or self.is_cancelled)


class Watch(msgspec.Struct, frozen=True, tag="watch", omit_defaults=True):
    """One watch on one member, from its creation to the end of its stream."""

    watcher: int
    member: str
    key: str
    end: str = ""
    start_revision: int = 0
    has_previous: bool = False
    without: tuple[Literal["put", "delete"], ...] = ()
    replies: tuple[Reply, ...] = ()


class Hash(msgspec.Struct, frozen=True, tag="hash"):
    """HashKV of one member."""

    member: str
    revision: int
    compact_revision: int
    hash: int


class EpisodeEnd(msgspec.Struct, frozen=True, tag="episode"):
    """The guard has been answered, and every call begun before it is recorded."""

    number: int


Record: TypeAlias = Call | Watch | Hash | EpisodeEnd

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class BadHistory(ValueError):
    """A line is not a record."""


def write_line(record: Record) -> bytes:
    """A record as a line of a history."""
    return _encode(record) + b"\n"


def read(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of a history. Raises BadHistory."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise BadHistory(f"line {number}: {error}") from error


def in_range(candidate: str, key: str, end: str) -> bool:
    """As etcd: without an end one key, with the end "\\0" all from `key` on."""
    if not end:
        return candidate == key
    return key <= candidate and (end == "\0" or candidate < end)
