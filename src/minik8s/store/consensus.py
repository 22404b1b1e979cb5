"""What the store asks of consensus: an order of commands that survives, and a point to read at.

`raft.node.RaftNode` is the real one. `Immediate` orders by arrival in one process: the in-process store of tests and
of the simulation.
"""

from asyncio import Event, sleep
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from minik8s.store.raft.errors import MemberNotLearner, QuorumAtRisk


class StateMachine(Protocol):
    """What consensus drives."""

    def apply(self, command: bytes) -> Any:
        """Total and deterministic; the result goes to the proposer, on the member that proposed."""


class Consensus(Protocol):
    """An ordered, durable log of commands that every member applies."""

    @property
    def name(self) -> str:
        """This member's name."""

    @property
    def term(self) -> int:
        """The current term; never goes back."""

    @property
    def leader(self) -> str | None:
        """The name of the leader, None while there is none."""

    @property
    def is_leader(self) -> bool:
        """Whether this member leads, as far as it knows."""

    @property
    def applied_index(self) -> int:
        """The index of the last command applied here."""

    @property
    def last_index(self) -> int:
        """The index of the last command known committed."""

    @property
    def members(self) -> Sequence[str]:
        """The names of all members."""

    async def run(self) -> None:
        """Recover, then take part until cancelled. Raises if it cannot go on."""

    async def propose(self, command: bytes) -> Any:
        """The machine's result, once `command` is committed and applied here. Raises raft.errors (outcome unknown)."""

    async def read_index(self) -> None:
        """Return once everything committed before the call is applied here."""

    @property
    def configuration(self) -> Mapping[str, tuple[tuple[str, int], bool]]:
        """Name → (address, whether a learner) of every member."""

    async def add_member(self, name: str, address: tuple[str, int], *, learner: bool) -> None:
        """Raises raft.errors, as the next two."""

    async def promote(self, name: str) -> None:
        """Make a learner a voter."""

    async def remove_member(self, name: str) -> None:
        """A leader hands over first."""

    async def transfer_leadership(self, to: str) -> None:
        """Have the member `to` lead; this one must lead now. Raises raft.errors."""

    def on_leadership(self, callback: Callable[[bool, int], None]) -> None:
        """Call `callback(is_leader, term)` at each change."""


class Immediate:
    """Consensus of one: a command is committed and applied when it is proposed. Nothing is kept on disk."""

    def __init__(self, machine: StateMachine, name: str = "local") -> None:
        self.name = name
        self.term = 1
        self.leader: str | None = name
        self.is_leader = True
        self.applied_index = 0
        self.members: Sequence[str] = (name,)
        self._machine = machine

    @property
    def last_index(self) -> int:
        return self.applied_index

    async def run(self) -> None:
        await Event().wait()

    async def propose(self, command: bytes) -> Any:
        # Others run between proposal and effect, as they do with a real log.
        await sleep(0)
        self.applied_index += 1
        return self._machine.apply(command)

    async def read_index(self) -> None:
        await sleep(0)

    @property
    def configuration(self) -> Mapping[str, tuple[tuple[str, int], bool]]:
        return {self.name: (("", 0), False)}

    async def add_member(self, name: str, address: tuple[str, int], *, learner: bool) -> None:
        raise QuorumAtRisk("one process stays alone")

    async def promote(self, name: str) -> None:
        raise MemberNotLearner(f"{name!r} is a voter")

    async def remove_member(self, name: str) -> None:
        raise QuorumAtRisk("the only member stays")

    async def transfer_leadership(self, to: str) -> None:
        """There is nobody else."""

    def on_leadership(self, callback: Callable[[bool, int], None]) -> None:
        callback(True, self.term)
