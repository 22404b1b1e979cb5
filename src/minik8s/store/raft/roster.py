"""Who the members are: a value in the log, changed one member at a time (Raft thesis §4).

An entry holds the whole configuration that it makes. A member goes by the last one in its log, committed or not; when
that entry is truncated, by the one before. Until the first change it is what the member was started with.
"""

import msgspec

from minik8s.store.raft.errors import MemberExists, MemberNotFound, MemberNotLearner

# PySyncObj's type of a membership entry, which it leaves alone unless told otherwise.
_MEMBERSHIP = b"\x02"


class Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a member is, and whether it has a vote."""

    host: str
    port: int
    is_learner: bool = False

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


class Configuration(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The members by name."""

    members: dict[str, Place]

    @property
    def voters(self) -> frozenset[str]:
        return frozenset(name for name, place in self.members.items() if not place.is_learner)

    @property
    def quorum(self) -> int:
        """How many voters make a majority."""
        return len(self.voters) // 2 + 1

    def is_majority(self, names: set[str]) -> bool:
        return len(self.voters & names) >= self.quorum

    def with_member(self, name: str, address: tuple[str, int], *, learner: bool) -> "Configuration":
        """Raises MemberExists."""
        taken = {place.address for place in self.members.values()}
        if name in self.members or address in taken:
            raise MemberExists(f"{name!r} at {address[0]}:{address[1]}: there is a member of that name or address")
        return Configuration({**self.members, name: Place(*address, learner)})

    def with_voter(self, name: str) -> "Configuration":
        """A learner promoted. Raises MemberNotFound, MemberNotLearner."""
        place = self.place(name)
        if not place.is_learner:
            raise MemberNotLearner(f"{name!r} is a voter already")
        return Configuration({**self.members, name: Place(place.host, place.port)})

    def without(self, name: str) -> "Configuration":
        """Raises MemberNotFound."""
        self.place(name)
        return Configuration({other: place for other, place in self.members.items() if other != name})

    def place(self, name: str) -> Place:
        """Raises MemberNotFound."""
        if name not in self.members:
            raise MemberNotFound(f"there is no member {name!r}")
        return self.members[name]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Configuration).decode


def encode_entry(configuration: Configuration) -> bytes:
    """The command of a log entry."""
    return _MEMBERSHIP + _encode(configuration)


def decode_entry(command: bytes) -> Configuration | None:
    """The configuration an entry makes; None for every other kind. Raises msgspec.DecodeError."""
    if command[:1] != _MEMBERSHIP:
        return None
    try:
        return _decode(memoryview(command)[1:])
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error
