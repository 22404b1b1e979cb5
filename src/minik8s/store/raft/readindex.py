"""Linearizable reads without writing (Raft thesis §6.4): a read point from a leader who first makes sure it leads.

Reads that come together share one question. A follower asks the leader; the leader notes its commit index, has a
majority confirm its term, and answers; the reader waits until it has applied that far. No clock is trusted. A leader
gives no read point before it has committed an entry of its own term, as until then its commit index may be old.
"""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from minik8s.kit.clock import Clock
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.errors import NotStarted, ReadTimeout, TooManyProposals
from minik8s.store.raft.messages import Confirm, Confirmed, Message, ReadReply, ReadRequest
from minik8s.store.raft.roster import Configuration

_LINGER_PER_ASKER_S = 0.0005
_FORGETTING = 0.9
"""How wide rounds have been is forgotten by a tenth with each round."""


@dataclass(slots=True)
class Read:
    """One caller."""

    deadline_s: float
    done: asyncio.Future[None]


@dataclass(slots=True)
class Question:
    """What a follower asked, and for whom."""

    number: int
    leader: str
    sent_s: float
    reads: list[Read]


@dataclass(slots=True)
class Askers:
    """Who waits for a read point from us as leader: callers here, and followers' questions."""

    reads: list[Read] = field(default_factory=list)
    questions: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Round:
    """What a leader asks its followers."""

    number: int
    term: int
    index: int
    askers: Askers
    confirmed: set[str]


@dataclass(slots=True)
class View:
    """What the node knows at the moment of a call."""

    term: int
    leader: str | None
    is_leader: bool
    commit_index: int
    own_term_index: int
    applied_index: int
    peers: list[str]
    configuration: Configuration


@dataclass(slots=True)
class ReadIndex:
    """Both sides of one member."""

    config: RaftConfig
    clock: Clock
    send: Callable[[str, Message], None]
    view: Callable[[], View]
    is_open: bool = False
    _waiting: list[Read] = field(default_factory=list)
    _question: Question | None = None
    _askers: Askers = field(default_factory=Askers)
    """As leader: who waits for the next round."""
    _round: Round | None = None
    _width: float = 0.0
    """How many askers shared a round lately."""
    _linger_until_s: float = float("-inf")
    """Before that no round begins."""
    _prompt: str = ""
    """The peer that confirmed last: asked first, as one peer of three makes a majority with us."""
    _number: int = 0
    _until_applied: list[tuple[int, int, Read]] = field(default_factory=list)
    _ticket: int = 0

    def add(self) -> asyncio.Future[None]:
        """A caller wants to read; done when it may."""
        if not self.is_open:
            raise NotStarted("the member is not running")
        if len(self._waiting) >= self.config.max_pending_commands:
            raise TooManyProposals("too many reads wait already")
        read = Read(self.clock.monotonic_s() + self.config.read_timeout_s, asyncio.get_running_loop().create_future())
        self._waiting.append(read)
        return read.done

    @property
    def is_gathering(self) -> bool:
        """Whether one more read changes nothing now: its answer is part of the next question."""
        lingers = bool(self._askers.reads) and self.clock.monotonic_s() < self._linger_until_s
        return lingers or self._question is not None or self._round is not None

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._question or self._askers.reads or self._round or self._until_applied)

    def pump(self) -> float | None:
        """Move everything on as far as it goes now; when to come back, if a round waits to grow."""
        view = self.view()
        while self._until_applied and self._until_applied[0][0] <= view.applied_index:
            _resolve(heapq.heappop(self._until_applied)[2])
        if self._question and (view.leader != self._question.leader or self._is_overdue(self._question)):
            # Asking again is harmless, whoever answers.
            self._waiting = self._question.reads + self._waiting
            self._question = None
        if not view.is_leader or (self._round and self._round.term != view.term):
            self._stop_leading()
        if self._waiting and view.is_leader:
            self._askers.reads += self._waiting
            self._waiting = []
        elif self._waiting and view.leader and not self._question:
            reads, self._waiting = self._waiting, []
            self._number += 1
            self._question = Question(self._number, view.leader, self.clock.monotonic_s(), reads)
            self.send(view.leader, ReadRequest(self._number))
        return self._pump_round(view)

    def expire(self) -> None:
        """Give up on what took too long."""
        now_s = self.clock.monotonic_s()
        for read in self._all_reads():
            if read.deadline_s <= now_s and not read.done.done():
                read.done.set_exception(ReadTimeout("request timed out"))
        self._waiting = [read for read in self._waiting if not read.done.done()]
        self._until_applied = [item for item in self._until_applied if not item[2].done.done()]
        heapq.heapify(self._until_applied)
        if self._round:
            # A Confirm may have been lost with a connection, or the peer be gone.
            self._ask_peers(self._round, self.view(), everyone=True)

    def on_message(self, peer: str, message: Message) -> None:
        view = self.view()
        match message:
            case ReadRequest(number):
                # Silence when we do not lead: the asker hears of the new leader, or asks again.
                if view.is_leader and len(self._askers.questions) < self.config.max_pending_commands:
                    self._askers.questions.append((peer, number))
            case ReadReply(number, index):
                if self._question and self._question.number == number and self._question.leader == peer:
                    reads, self._question = self._question.reads, None
                    self._wait_until_applied(reads, index)
            case Confirm(term, number):
                # Being in this term is the whole proof: only one member leads it, and no later one has our vote.
                if term == view.term:
                    self.send(peer, Confirmed(term, number))
            case Confirmed(term, number):
                if self._round and (term, number) == (self._round.term, self._round.number):
                    self._round.confirmed.add(peer)
                    self._prompt = peer

    def close(self) -> None:
        self.is_open = False
        for read in self._all_reads():
            if not read.done.done():
                read.done.set_exception(NotStarted("the member is stopping"))

    def _all_reads(self) -> list[Read]:
        reads = [*self._waiting, *self._askers.reads, *(read for _, _, read in self._until_applied)]
        reads += self._question.reads if self._question else []
        return reads + (self._round.askers.reads if self._round else [])

    def _stop_leading(self) -> None:
        """Our own callers ask the next leader; followers ask again by themselves."""
        self._waiting += self._askers.reads + (self._round.askers.reads if self._round else [])
        self._askers = Askers()
        self._round = None

    def _pump_round(self, view: View) -> float | None:
        if self._round and view.configuration.is_majority(self._round.confirmed):
            finished, self._round = self._round, None
            self._wait_until_applied(finished.askers.reads, finished.index)
            for peer, number in finished.askers.questions:
                self.send(peer, ReadReply(number, finished.index))
        count = len(self._askers.reads) + len(self._askers.questions)
        if not count or not view.is_leader or self._round or view.commit_index < view.own_term_index:
            return None
        now_s = self.clock.monotonic_s()
        if now_s < self._linger_until_s:
            return self._linger_until_s
        self._width = max(float(count), self._width * _FORGETTING)
        if self._width >= 2:
            # A round costs far more than a read: where several come at a time, more may join the next one.
            self._linger_until_s = now_s + min(self.config.linger_max_s, self._width * _LINGER_PER_ASKER_S)
        askers, self._askers = self._askers, Askers()
        self._number += 1
        self._round = Round(self._number, view.term, view.commit_index, askers, {self.config.name})
        self._ask_peers(self._round, view)
        return self._pump_round(view) if view.configuration.quorum == 1 else None

    def _ask_peers(self, round_: Round, view: View, *, everyone: bool = False) -> None:
        """At first no more peers than make a majority; everyone if they take too long."""
        asked = set(round_.confirmed)
        for peer in sorted(view.peers, key=lambda peer: peer != self._prompt):
            if not everyone and view.configuration.is_majority(asked):
                return
            if peer not in round_.confirmed:
                asked.add(peer)
                self.send(peer, Confirm(round_.term, round_.number))

    def _is_overdue(self, question: Question) -> bool:
        return self.clock.monotonic_s() - question.sent_s > self.config.read_retry_s

    def _wait_until_applied(self, reads: list[Read], index: int) -> None:
        applied = self.view().applied_index
        for read in reads:
            if applied >= index:
                _resolve(read)
            else:
                self._ticket += 1
                heapq.heappush(self._until_applied, (index, self._ticket, read))


def _resolve(read: Read) -> None:
    if not read.done.done():
        read.done.set_result(None)
