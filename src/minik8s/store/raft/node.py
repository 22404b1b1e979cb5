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
from minik8s.kit.run import StartError
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.core import Core, make_core
from minik8s.store.raft.disk import Disk, FileDisk
from minik8s.store.raft.election import Elections
from minik8s.store.raft.errors import DataLost, NotStarted, RaftError, Removed
from minik8s.store.raft.gate import Gate
from minik8s.store.raft.installer import Receiver, Sender
from minik8s.store.raft.journal import Journal, State
from minik8s.store.raft.keeper import Keeper
from minik8s.store.raft.membership import Membership
from minik8s.store.raft.messages import (
    Change,
    Changed,
    Chunk,
    ChunkAck,
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
from minik8s.store.raft.roster import decode_entry
from minik8s.store.raft.snapshots import Header
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
        has_run: Callable[[str], bool] = lambda name: False,
    ) -> None:
        """`has_run` tells whether a member has been part of the cluster before, as far as the machine knows."""
        assert config.name in config.peers, f"{config.name} is not among the peers {config.members}"
        self.config = config
        self.name = config.name
        self.opened = asyncio.Event()
        """Set once the log is read: from then on proposals and reads are taken, and wait for a leader."""
        self._machine = machine
        self._has_run = has_run
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
        self._linked: dict[str, tuple[str, int]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._removal: Removed | None = None
        self._held: list[tuple[str, Propose]] = []
        """Followers' batches that came while we were handing over."""
        self._membership = Membership(config, clock, self._network.send, self._wake, lambda: self._core)
        self._sender = Sender(config, self._disk, clock, self._network.send)
        self._receiver = Receiver(config, self._disk, self._network.send, self._install)
        self._keeper: Keeper | None = None

    # For the store.

    async def run(self) -> None:
        """Take part until cancelled. Raises StartError (corrupt or unwritable log, port in use, bad certificate)."""
        life = asyncio.ensure_future(self._live())
        try:
            await asyncio.shield(life)
        finally:
            if not life.done():
                await self._hand_over()
                life.cancel()
                await asyncio.wait([life])

    async def _live(self) -> None:
        try:
            state = await self._disk.open()
            self._open(state)
            self._fault = asyncio.get_running_loop().create_future()
            log.info("raft starts", member=self.name, term=self.term, log=self.last_index, commit=self.commit_index)
            self._proposer.is_open = self._reads.is_open = True
            self.opened.set()
            async with asyncio.TaskGroup() as group:
                self._group = group
                assert self._keeper
                group.create_task(self._write_forever(self._journal))
                group.create_task(self._network.run(self))
                group.create_task(self._receiver.run())
                group.create_task(self._keeper.run(lambda: self.applied_index))
                self._wake()
                await self._fault
        finally:
            self._stop()

    def _open(self, state: State) -> None:
        """Everything as the disk has it. Raises StartError."""
        try:
            self._journal = Journal(state, self.config.bootstrap)
        except ValueError as error:
            raise StartError(f"{self.config.data_dir}: log and snapshot do not belong together: {error}") from error
        snapshot_index = state.snapshot.index if state.snapshot else 0
        if state.snapshot:
            self._restore()
            if snapshot_index > self._journal.first_index:
                self._journal.compact(snapshot_index)
        self._gate = Gate(self._journal, self._network.send)
        self._keeper = Keeper(
            self.config,
            self._journal,
            self._disk,
            self._machine,
            self._clock,
            snapshot_index=snapshot_index,
            sending=self._sender.oldest,
        )
        self._core_or_none = make_core(
            self.config,
            self._journal,
            self._elections,
            self._clock,
            send=self._gate.send,
            apply=self._apply,
            is_writable=self._network.is_writable,
            needs_snapshot=self._send_snapshot,
        )

    def _restore(self) -> None:
        try:
            self._machine.restore(self._disk.chunks())
        except ValueError as error:
            raise StartError(f"{self.config.data_dir}: {error}") from error

    async def _hand_over(self) -> None:
        """A leader that ends on request spares the others an election."""
        if not (self.config.hand_over_s and self.is_leader and (heir := self._membership.heir())):
            return
        try:
            async with asyncio.timeout(self.config.hand_over_s):
                await self._membership.transfer(heir)
            log.info("handed over", member=self.name, to=heir)
        except (RaftError, TimeoutError) as error:
            log.info("did not hand over", member=self.name, to=heir, why=str(error))

    async def propose(self, command: bytes) -> Any:
        """Have `command` applied on every member; its result here, after commit and local apply. From any member.

        Raises NotProposed's classes if it surely did not happen, ProposalTimeout if that is not known.
        """
        outcome = self._proposer.add(command)
        if not self._proposer.is_gathering:
            self._wake()
        return await outcome

    async def read_index(self) -> None:
        """Wait until this member has applied every write that was acknowledged anywhere before the call.

        Raises ReadTimeout, NotStarted.
        """
        done = self._reads.add()
        if not self._reads.is_gathering:
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
        await self._membership.change("add learner" if learner else "add voter", name, address)

    async def promote(self, name: str) -> None:
        """Make a learner a voter. Raises as `add_member`."""
        await self._membership.change("promote", name)

    async def remove_member(self, name: str) -> None:
        """A leader hands over first. Raises as `add_member`."""
        await self._membership.change("remove", name)

    async def transfer_leadership(self, to: str) -> None:
        """Make `to` the leader. Raises NotLeader, TransferFailed."""
        await self._membership.transfer(to)

    @property
    def configuration(self) -> Mapping[str, tuple[tuple[str, int], bool]]:
        """Name → (address, whether a learner) of every member, as of the end of the log."""
        configuration = self._journal.configuration if self._core_or_none else self.config.bootstrap
        return {name: (place.address, place.is_learner) for name, place in configuration.members.items()}

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
        return tuple(sorted(self.configuration))

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

    def is_blank(self) -> bool:
        return self.term == 0

    def has_run(self, peer: str) -> bool:
        return self._has_run(peer)

    def on_data_lost(self, peer: str) -> None:
        self._fail(
            DataLost(
                f"{self.name} has been part of this cluster, says {peer}, but {self.config.data_dir} holds nothing of "
                f"it: what it acknowledged and voted is lost. Bring the data back, or remove the member and add it "
                f"again (minik8s store member remove, add; --initial-cluster-state existing)"
            )
        )

    # Within.

    @property
    def _core(self) -> Core:
        if self._core_or_none is None:
            raise NotStarted("the member is not running")
        return self._core_or_none

    def _dispatch(self, peer: str, message: Message) -> None:
        match message:
            case Propose() if self._membership.is_handing_over:
                self._held.append((peer, message))
            case Propose():
                self._proposer.on_propose(peer, message, term=self.term, is_leader=self.is_leader)
            case Refused():
                self._proposer.on_refused(message)
            case Confirm() | Confirmed() | ReadRequest() | ReadReply():
                self._reads.on_message(peer, message)
            case Change() | Changed():
                self._membership.on_message(peer, message)
            case Chunk():
                self._on_chunk(peer, message)
            case ChunkAck():
                self._sender.on_ack(peer, message)
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
            self._fail(error)

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
            self._fail(error)

    def _turn(self) -> None:
        core = self._core
        core.tick()
        self._announce_leadership()
        self._link()
        leader = core.leader()
        connection = self._connections.get(leader or "", 0)
        if self._membership.is_handing_over:
            leader = None
        elif self._held:
            held, self._held = self._held, []
            for peer, message in held:
                self._proposer.on_propose(peer, message, term=core.term(), is_leader=core.is_leader())
        linger_until_s = self._proposer.pump(term=core.term(), leader=leader, connection=connection)
        core.replicate()
        gather_until_s = self._reads.pump()
        if self._journal.is_dirty:
            self._dirty.set()
        if core.applied_index() < core.commit_index():
            self._wake()
        self._set_timer(linger_until_s, gather_until_s)

    def _set_timer(self, *until_s: float | None) -> None:
        now_s = self._clock.monotonic_s()
        due_s = min(self._core.next_wake_s(), *(due_s for due_s in until_s if due_s is not None), float("inf"))
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
                await self._disk.append(group, journal.state_records(), journal.last_index)
                journal.synced()
                self._gate.release()
                if self._removal and not journal.is_dirty:
                    self._fail(self._removal)
                self._wake()

    def _append(self, entry: bytes) -> None:
        self._core.append(entry)

    def _apply(self, index: int, term: int, entry: bytes) -> None:
        batch = decode_batch(entry)
        self._proposer.passed_term(term)
        if batch:
            self._proposer.applied(batch, [self._machine.apply(command) for command in batch.commands])
        elif configuration := decode_entry(entry):
            self._check_stays(index, set(configuration.members))
        assert self._keeper
        self._keeper.applied(index, len(entry))

    def _check_stays(self, index: int, members: set[str]) -> None:
        """The members from now on. If we are not among them any more, this is our last entry."""
        log.info("members change", member=self.name, members=",".join(sorted(members)))
        before = self._journal.configuration_at(index - 1)
        was_member = self.name in before.members if before else not self.config.joins
        if was_member and self.name not in members and self.name not in self._journal.configuration.members:
            # Said when our disk has it, too, so that a restarted member knows.
            self._journal.record_commit()
            self._removal = Removed(
                f"{self.name} was removed from the cluster. To add it again, remove its data directory "
                f"{self.config.data_dir} first"
            )

    def _fail(self, error: Exception) -> None:
        """End `run` with the first error; nothing is done after one."""
        if self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)

    def _link(self) -> None:
        """Have the network keep links to whom we need."""
        if (linked := self._core.linked()) is not self._linked:
            self._linked = linked
            self._network.set_peers(linked)

    # Snapshots.

    def _send_snapshot(self, peer: str) -> None:
        core = self._core
        if self._group:
            term = core.term()
            self._sender.start(
                self._group, peer, term, lambda: core.term() == term and core.is_leader() and core.lacks_log(peer)
            )

    def _on_chunk(self, peer: str, chunk: Chunk) -> None:
        """From a leader of our term; what it sends proves that it leads, as its heartbeats do."""
        if chunk.term == self.term and peer == self.leader:
            if self._journal.holds(chunk.index, chunk.snapshot_term):
                # The log got there first.
                self._core.acknowledge(peer, min(chunk.index, self._journal.last_index))
            else:
                self._receiver.on_chunk(peer, chunk)

    def _install(self, peer: str, header: Header) -> None:
        """A leader's snapshot is on our disk, whole: log and state change at once."""
        core, keeper = self._core, self._keeper
        assert keeper
        if header.index > core.commit_index() and not self._journal.holds(header.index, header.term):
            log.info("installs a snapshot", member=self.name, index=header.index, was=core.applied_index())
            self._restore()
            self._journal.install(header)
            core.installed(header.index)
            keeper.installed(header.index)
            # What was in flight may be part of it.
            self._proposer.skipped()
            for callback in self._restored_callbacks:
                callback()
        if peer == core.leader():
            core.acknowledge(peer, min(header.index, core.commit_index()))
        self._wake()

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
            configuration=self._journal.configuration,
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
        self._membership.close()
        self._reads.close()
        self._disk.close()
