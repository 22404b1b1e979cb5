"""One Raft member: recovers its log, elects, replicates, applies.

    propose ─▶ Proposer ─▶ Core (PySyncObj) ─▶ Journal ─▶ Disk (fdatasync in a thread)
                  ▲            │    ▲ └──▶ Gate ─▶ Network ─▶ peers
    result ◀──────┴── apply ◀──┘    └───────────── Network ◀─ peers

The node moves bytes between these parts and decides nothing itself. Everything happens on the event loop's thread, in
`_turn`, which runs when something came in and when the next deadline is due; nothing polls.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.core import Core, make_core
from minik8s.store.raft.disk import Disk, FileDisk
from minik8s.store.raft.election import Elections
from minik8s.store.raft.errors import MembershipRefused, NotStarted, TransferFailed
from minik8s.store.raft.gate import Gate
from minik8s.store.raft.journal import Journal
from minik8s.store.raft.messages import (
    Confirm,
    Confirmed,
    Message,
    Propose,
    ReadReply,
    ReadRequest,
    Refused,
    decode_batch,
)
from minik8s.store.raft.network import Network
from minik8s.store.raft.proposer import Proposer
from minik8s.store.raft.readindex import ReadIndex, View
from minik8s.store.raft.transport import SocketNetwork

log = get_logger(__name__)

# How often those who wait are checked for their deadlines, and never sooner than this after a deadline is a timer set.
_EXPIRY_S = 0.1
_SHORTEST_WAIT_S = 0.001


class StateMachine(Protocol):
    """What the log drives."""

    def apply(self, command: bytes) -> Any:
        """Total and deterministic; the result is handed to the proposer on the member that proposed."""

    def snapshot(self) -> Iterator[bytes]:
        """The state as it is at the call, read in slices while commands are applied."""

    def restore(self, stream: Iterable[bytes]) -> None:
        """Replace the state by a later one's snapshot. Raises ValueError, having changed nothing."""


class RaftNode:
    """Built without side effects; `run` until cancelled."""

    def __init__(
        self,
        config: RaftConfig,
        machine: StateMachine,
        *,
        clock: Clock,
        rng: random.Random,
        disk: Disk | None = None,
        network: Network | None = None,
    ) -> None:
        assert config.name in config.peers, f"{config.name} is not among the peers {config.members}"
        self.config = config
        self.name = config.name
        self.opened = asyncio.Event()
        """Set once the log is read: from then on proposals and reads are taken, and wait for a leader."""
        self._machine = machine
        self._clock = clock
        self._disk: Disk = disk or FileDisk(config)
        self._network: Network = network or SocketNetwork(config, rng)
        self._elections = Elections(config, clock, rng)
        self._proposer = Proposer(
            config, clock, incarnation=rng.getrandbits(63), append=self._append, send=self._network.send
        )
        self._reads = ReadIndex(config, clock, send=self._network.send, view=self._view)
        self._callbacks: list[Callable[[bool, int], None]] = []
        self._restored_callbacks: list[Callable[[], None]] = []
        self._announced = (False, 0)
        self._connections: dict[str, int] = {}
        self._core_or_none: Core | None = None
        self._journal = Journal()
        self._gate = Gate(self._journal, self._network.send)
        self._fault: asyncio.Future[None] | None = None
        self._dirty = asyncio.Event()
        self._turn_is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._expired_s = 0.0

    # For the store.

    async def run(self) -> None:
        """Take part until cancelled. Raises StartError (corrupt or unwritable log, port in use, bad certificate)."""
        try:
            state = await self._disk.open()
            self._journal = Journal(state)
            self._gate = Gate(self._journal, self._network.send)
            self._fault = asyncio.get_running_loop().create_future()
            self._core_or_none = make_core(
                self.config,
                self._journal,
                self._elections,
                self._clock,
                send=self._gate.send,
                apply=self._apply,
                is_writable=self._network.is_writable,
            )
            log.info("raft starts", member=self.name, term=self.term, log=self.last_index, commit=state.commit_index)
            self._proposer.is_open = self._reads.is_open = True
            self.opened.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_forever(self._journal))
                group.create_task(self._network.run(self))
                self._wake()
                await self._fault
        finally:
            self._stop()

    async def propose(self, command: bytes) -> Any:
        """Have `command` applied on every member; its result here, after commit and local apply. From any member.

        Raises NotProposed's classes if it surely did not happen, ProposalTimeout if that is not known.
        """
        outcome = self._proposer.add(command)
        self._wake()
        return await outcome

    async def read_index(self) -> None:
        """Wait until this member has applied every write that was acknowledged anywhere before the call.

        Raises ReadTimeout, NotStarted.
        """
        done = self._reads.add()
        self._wake()
        await done

    def on_leadership(self, callback: Callable[[bool, int], None]) -> None:
        """Call back with (is_leader, term) when this member has begun to lead, all before its term applied, or
        ceased."""
        self._callbacks.append(callback)

    def on_restored(self, callback: Callable[[], None]) -> None:
        """Call back after a leader's snapshot has replaced the machine's state."""
        self._restored_callbacks.append(callback)

    async def add_member(self, name: str, address: tuple[str, int], *, learner: bool) -> None:
        """From any member. Raises MembershipRefused's classes, NoLeader; ProposalTimeout if the outcome is open."""
        raise MembershipRefused("not yet")

    async def promote(self, name: str) -> None:
        """Make a learner a voter. Raises as `add_member`."""
        raise MembershipRefused("not yet")

    async def remove_member(self, name: str) -> None:
        """A leader hands over first. Raises as `add_member`."""
        raise MembershipRefused("not yet")

    async def transfer_leadership(self, to: str) -> None:
        """Make `to` the leader. Raises NotLeader, TransferFailed."""
        raise TransferFailed("not yet")

    @property
    def configuration(self) -> Mapping[str, tuple[tuple[str, int], bool]]:
        """Name → (address, whether a learner) of every member, as of the end of the log."""
        return {name: (address, False) for name, address in self.config.peers.items()}

    @property
    def term(self) -> int:
        return self._core.term() if self._core_or_none else 0

    @property
    def leader(self) -> str | None:
        """Who leads as far as this member knows; None during an election."""
        return self._core.leader() if self._core_or_none else None

    @property
    def is_leader(self) -> bool:
        return self._core_or_none is not None and self._core.is_leader()

    @property
    def applied_index(self) -> int:
        return self._core.applied_index() if self._core_or_none else 0

    @property
    def commit_index(self) -> int:
        return self._core.commit_index() if self._core_or_none else 0

    @property
    def last_index(self) -> int:
        """The end of the log, committed or not."""
        return self._journal.last_index

    @property
    def members(self) -> tuple[str, ...]:
        return self.config.members

    # From the network.

    def on_connected(self, peer: str) -> None:
        log.debug("peer connected", member=self.name, peer=peer)
        self._connections[peer] = self._connections.get(peer, 0) + 1
        self._guarded(self._core.on_connected, peer)

    def on_disconnected(self, peer: str) -> None:
        log.debug("peer disconnected", member=self.name, peer=peer)
        self._guarded(self._core.on_disconnected, peer)

    def on_message(self, peer: str, message: Message) -> None:
        self._guarded(self._dispatch, peer, message)

    # Within.

    @property
    def _core(self) -> Core:
        if self._core_or_none is None:
            raise NotStarted("the member is not running")
        return self._core_or_none

    def _dispatch(self, peer: str, message: Message) -> None:
        match message:
            case Propose():
                self._proposer.on_propose(peer, message, term=self.term, is_leader=self.is_leader)
            case Refused():
                self._proposer.on_refused(message)
            case Confirm() | Confirmed() | ReadRequest() | ReadReply():
                self._reads.on_message(peer, message)
            case _:
                self._core.step(peer, message)

    def _guarded(self, work: Callable[..., None], *args: Any) -> None:
        """Do something that callbacks of the loop ask for: an error ends `run`, and nothing is done after one."""
        if self._fault is None or self._fault.done():
            return
        try:
            work(*args)
            self._wake()
        except Exception as error:  # a bug anywhere in here must stop the member, not a callback
            self._fault.set_exception(error)

    def _wake(self) -> None:
        """Take a turn soon, one for all that happens in this pass of the loop."""
        if not self._turn_is_due and self._core_or_none:
            self._turn_is_due = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn_is_due = False
        if self._fault is None or self._fault.done():
            return
        try:
            self._turn()
        except Exception as error:  # as in _guarded
            self._fault.set_exception(error)

    def _turn(self) -> None:
        core = self._core
        core.tick()
        self._announce_leadership()
        leader = core.leader()
        connection = self._connections.get(leader or "", 0)
        linger_until_s = self._proposer.pump(term=core.term(), leader=leader, connection=connection)
        core.replicate()
        self._reads.pump()
        if self._journal.is_dirty:
            self._dirty.set()
        if core.applied_index() < core.commit_index():
            self._wake()
        self._set_timer(linger_until_s)

    def _set_timer(self, linger_until_s: float | None) -> None:
        now_s = self._clock.monotonic_s()
        due_s = self._core.next_wake_s()
        if linger_until_s is not None:
            due_s = min(due_s, linger_until_s)
        if self._proposer.has_work or self._reads.has_work:
            if now_s - self._expired_s >= _EXPIRY_S:
                self._expired_s = now_s
                self._proposer.expire()
                self._reads.expire()
            due_s = min(due_s, self._expired_s + _EXPIRY_S)
        loop = asyncio.get_running_loop()
        at_s = loop.time() + max(_SHORTEST_WAIT_S, due_s - now_s)
        if self._timer:
            # A follower's deadline moves with every heartbeat: the old timer, being earlier, looks again by itself.
            if self._timer.when() <= at_s:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake()

    async def _write_forever(self, journal: Journal) -> None:
        """Group commit: what is recorded while one write is under way makes the next."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            while group := journal.take():
                await self._disk.append(group, journal.state_records())
                journal.synced()
                self._gate.release()
                self._wake()

    def _append(self, entry: bytes) -> None:
        self._core.append(entry)

    def _apply(self, index: int, term: int, entry: bytes) -> None:
        batch = decode_batch(entry)
        self._proposer.passed_term(term)
        if batch:
            self._proposer.applied(batch, [self._machine.apply(command) for command in batch.commands])

    def _view(self) -> View:
        core = self._core
        return View(
            term=core.term(),
            leader=core.leader(),
            is_leader=core.is_leader(),
            commit_index=core.commit_index(),
            own_term_index=core.own_term_index(),
            applied_index=core.applied_index(),
            peers=core.connected(),
        )

    def _announce_leadership(self) -> None:
        core = self._core
        leads = core.is_leader() and core.applied_index() >= core.own_term_index()
        now = (leads, core.term() if leads else 0)
        if now == self._announced:
            return
        was_leading, self._announced = self._announced[0], now
        log.info("leads" if leads else "no longer leads", member=self.name, term=core.term())
        for callback in self._callbacks:
            if was_leading and leads:
                callback(False, core.term())
            callback(leads, core.term())

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._fault is not None and not self._fault.done():
            self._fault.cancel()
        self._proposer.close()
        self._reads.close()
        self._disk.close()
