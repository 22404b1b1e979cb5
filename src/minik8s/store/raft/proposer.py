"""Proposals of one member, from its callers' bytes to their results.

Callers' commands wait in one queue; a batch of them becomes one log entry (group commit), written by ourselves if we
lead, or sent to the leader. Two batches are in flight at most, so batches grow by themselves under load. Our own
`apply` of the entry, known by (member, incarnation, sequence), resolves the callers: what they are told, this member
can read.

A batch belongs to the term it was sent in: only the leader of that term may log it. Once an entry of a later term is
applied here, no batch of an earlier term can still be committed, as terms never decrease along the log. Those that
were not applied by then go back to the queue. So the death of a leader costs callers time, not errors, and no command
happens twice. `tests/sim/store` checks both.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from minik8s.kit.clock import Clock
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.errors import CommandTooLarge, NoLeader, NotStarted, ProposalTimeout, TooManyProposals
from minik8s.store.raft.messages import Batch, Propose, Refused, encode_batch


@dataclass(slots=True)
class Proposal:
    """One caller's command."""

    command: bytes
    deadline_s: float
    outcome: asyncio.Future[Any]
    is_settled: bool = False


@dataclass(slots=True)
class Sent:
    """A batch that may be in some log."""

    term: int
    leader: str
    connection: int
    entry: bytes
    proposals: list[Proposal]


@dataclass(slots=True)
class Accepted:
    """Leader's memory of one member's batches: the last one taken, so that a repeated frame is not taken twice."""

    incarnation: int
    sequence: int


@dataclass(slots=True)
class Proposer:
    """`append` writes an entry if we lead; `send` reaches a peer."""

    config: RaftConfig
    clock: Clock
    incarnation: int
    append: Callable[[bytes], None]
    send: Callable[[str, Propose | Refused], None]
    is_open: bool = False
    _queue: deque[Proposal] = field(default_factory=deque)
    _in_flight: dict[int, Sent] = field(default_factory=dict)
    _sequence: int = 0
    _pending_count: int = 0
    _pending_bytes: int = 0
    _linger_until_s: float | None = None
    _last_batch_count: int = 0
    _accepted: dict[str, Accepted] = field(default_factory=dict)

    # For callers.

    def add(self, command: bytes) -> asyncio.Future[Any]:
        """Queue a command. Raises what surely prevents it."""
        if not self.is_open:
            raise NotStarted("the member is not running")
        if len(command) > self.config.max_command_bytes:
            raise CommandTooLarge(f"{len(command)} bytes, at most {self.config.max_command_bytes}")
        is_full = self._pending_count >= self.config.max_pending_commands
        if is_full or self._pending_bytes + len(command) > self.config.max_pending_bytes:
            raise TooManyProposals(f"{self._pending_count} proposals wait already")
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        deadline_s = self.clock.monotonic_s() + self.config.propose_timeout_s
        self._queue.append(Proposal(command, deadline_s, outcome))
        self._pending_count += 1
        self._pending_bytes += len(command)
        return outcome

    @property
    def is_gathering(self) -> bool:
        """Whether one more command changes nothing now: no batch may leave before an answer, or a moment."""
        return len(self._in_flight) >= self.config.batches_in_flight or self._linger_until_s is not None

    @property
    def has_work(self) -> bool:
        """Whether callers wait: for a batch to be sent, or for time to run out."""
        return bool(self._queue or self._in_flight)

    # For the node.

    def pump(self, *, term: int, leader: str | None, connection: int) -> float | None:
        """Send what may be sent to `leader`, who may be us; when to come back, if a batch waits to grow.

        `connection` numbers the connections to that leader, over which we heard that it leads `term`.
        """
        if leader is None:
            return None
        self._send_again(term, leader, connection)
        while self._queue and len(self._in_flight) < self.config.batches_in_flight:
            wait_until_s = self._lingers()
            if wait_until_s is not None:
                return wait_until_s
            self._send_batch(self._take_batch(), term=term, leader=leader, connection=connection)
        return None

    def expire(self) -> None:
        """Tell callers whose time is up: surely not done if still queued, unknown if sent."""
        now_s = self.clock.monotonic_s()
        while self._queue and (self._queue[0].deadline_s <= now_s or self._queue[0].outcome.done()):
            proposal = self._queue.popleft()
            self._settle(proposal, error=NoLeader("no leader took the command in time"))
        for sequence, sent in list(self._in_flight.items()):
            for proposal in sent.proposals:
                if proposal.deadline_s <= now_s:
                    self._settle(proposal, error=ProposalTimeout("request timed out"))
            if all(proposal.is_settled for proposal in sent.proposals):
                del self._in_flight[sequence]

    def applied(self, batch: Batch, results: Sequence[Any]) -> None:
        """An entry was applied: if it is ours, these are the callers' results."""
        if batch.member != self.config.name or batch.incarnation != self.incarnation:
            return
        sent = self._in_flight.pop(batch.sequence, None)
        if sent is None:
            return
        for proposal, result in zip(sent.proposals, results, strict=True):
            self._settle(proposal, result=result)

    def passed_term(self, term: int) -> None:
        """An entry of `term` was applied: batches of earlier terms are in no log that counts, and go back."""
        for sequence in [sequence for sequence, sent in self._in_flight.items() if sent.term < term]:
            self._take_back(sequence)

    def skipped(self) -> None:
        """A snapshot took the place of entries: whether our batches in flight were among them is not known."""
        for sent in self._in_flight.values():
            for proposal in sent.proposals:
                self._settle(proposal, error=ProposalTimeout("a snapshot overtook the command: its outcome is unknown"))
        self._in_flight.clear()

    def on_refused(self, message: Refused) -> None:
        """The leader did not log a batch and never will."""
        if message.incarnation == self.incarnation and message.sequence in self._in_flight:
            self._take_back(message.sequence)

    def on_propose(self, peer: str, message: Propose, *, term: int, is_leader: bool) -> None:
        """A peer's batch: log it if we lead the term it was meant for."""
        seen = self._accepted.get(peer)
        if seen and seen.incarnation == message.incarnation and message.sequence <= seen.sequence:
            # Logged already; a refusal now would make the peer send it again.
            return
        if is_leader and message.term == term:
            self._accepted[peer] = Accepted(message.incarnation, message.sequence)
            self.append(message.command)
        else:
            self.send(peer, Refused(message.incarnation, message.sequence))

    def close(self) -> None:
        """The member stops: nobody will learn more."""
        self.is_open = False
        while self._queue:
            self._settle(self._queue.popleft(), error=NotStarted("the member is stopping"))
        for sent in self._in_flight.values():
            for proposal in sent.proposals:
                self._settle(proposal, error=ProposalTimeout("the member is stopping"))
        self._in_flight.clear()

    def _lingers(self) -> float | None:
        """Until when the next batch should grow: not at all when little is under way."""
        under_way = max(self._pending_count, 2 * self._last_batch_count)
        if under_way < self.config.linger_above or not self._in_flight:
            self._linger_until_s = None
            return None
        now_s = self.clock.monotonic_s()
        if self._linger_until_s is None:
            share = min(1.0, under_way / (8 * self.config.linger_above))
            self._linger_until_s = now_s + share * self.config.linger_max_s
        if now_s < self._linger_until_s:
            return self._linger_until_s
        self._linger_until_s = None
        return None

    def _take_batch(self) -> list[Proposal]:
        batch: list[Proposal] = []
        size = 0
        while self._queue and size < self.config.max_batch_bytes:
            proposal = self._queue.popleft()
            if proposal.outcome.done():
                self._settle(proposal)
                continue
            batch.append(proposal)
            size += len(proposal.command)
        return batch

    def _send_batch(self, proposals: list[Proposal], *, term: int, leader: str, connection: int) -> None:
        if not proposals:
            return
        self._sequence += 1
        commands = [proposal.command for proposal in proposals]
        entry = encode_batch(Batch(self.config.name, self.incarnation, self._sequence, commands))
        self._last_batch_count = len(proposals)
        self._in_flight[self._sequence] = Sent(term, leader, connection, entry, proposals)
        if leader == self.config.name:
            self.append(entry)
        else:
            self.send(leader, Propose(term, self.incarnation, self._sequence, entry))

    def _send_again(self, term: int, leader: str, connection: int) -> None:
        """What a broken connection may have swallowed. The same process still leads the same term, so it knows what it
        has taken; any other would refuse a batch that its predecessor took, and so may not be asked."""
        for sequence, sent in self._in_flight.items():
            if (sent.term, sent.leader) == (term, leader) and sent.connection != connection:
                sent.connection = connection
                self.send(leader, Propose(term, self.incarnation, sequence, sent.entry))

    def _take_back(self, sequence: int) -> None:
        self._queue.extendleft(reversed(self._in_flight.pop(sequence).proposals))

    def _settle(self, proposal: Proposal, *, result: Any = None, error: Exception | None = None) -> None:
        if proposal.is_settled:
            return
        proposal.is_settled = True
        self._pending_count -= 1
        self._pending_bytes -= len(proposal.command)
        if proposal.outcome.done():
            return
        if error is None:
            proposal.outcome.set_result(result)
        else:
            proposal.outcome.set_exception(error)
