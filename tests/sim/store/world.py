"""A cluster of real Raft members under a virtual clock, on links and disks that fail as a seed decides.

The links are worse than TCP: they lose, delay, reorder and repeat single messages, and break. The disks lose what was
not synced, cut the frame that was being written anywhere, and fill up. Invariants are checked as things happen; a
violation is an AssertionError that carries the seed.
"""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minik8s.kit.clock import LoopClock
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.errors import LogWriteFailed, Removed
from minik8s.store.raft.frames import frame
from minik8s.store.raft.journal import State
from minik8s.store.raft.messages import Append, Message, decode_message, encode
from minik8s.store.raft.network import Receiver
from minik8s.store.raft.node import RaftNode
from minik8s.store.raft.snapshots import Header, payloads, read_header
from minik8s.store.raft.wal import scan

_PATH = Path("sim")
_SEGMENT_BYTES = 4000


@dataclass(frozen=True)
class Faults:
    """How bad the world is: ratios, and seconds."""

    loss: float = 0.02
    repeat: float = 0.02
    latency_s: float = 0.002
    slow: float = 0.02
    slow_latency_s: float = 0.2
    sync_s: float = 0.003
    slow_sync: float = 0.02
    slow_sync_s: float = 0.3
    full_disk: float = 0.0002
    mean_between_s: float = 2.0
    """Between crashes, cuts and broken links."""


CALM = Faults(loss=0, repeat=0, slow=0, slow_sync=0, full_disk=0, mean_between_s=float("inf"))


@dataclass
class Segment:
    """A piece of a log."""

    data: bytearray = field(default_factory=bytearray)
    first_number: int = 1
    highest: int = 0


class Disk:
    """One member's log and snapshot as bytes: what a crash leaves of them is read back by the real code."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._segments = [Segment()]
        self._writing = b""
        self._number = 1
        self._snapshot: tuple[Header, bytes] | None = None
        self.stalled_until_s = 0.0
        self._is_dead = False

    def remount(self) -> "Disk":
        """The same bytes for the next life: what the last one still does is not seen any more."""
        disk = Disk(self._world)
        disk._segments = [Segment(bytearray(old.data), old.first_number, old.highest) for old in self._segments]
        disk._snapshot, disk.stalled_until_s = self._snapshot, self.stalled_until_s
        return disk

    async def open(self) -> State:
        state = State()
        for segment in self._segments:
            is_last = segment is self._segments[-1]
            frames, good = scan(_PATH, bytes(segment.data), expected=segment.first_number, is_last=is_last)
            del segment.data[good:]
            self._number = segment.first_number + len(frames)
            for _, payload in frames:
                state.replay(payload)
        state.snapshot = self._snapshot[0] if self._snapshot else None
        return state

    async def append(self, group: bytes, preamble: bytes, last_index: int) -> None:
        if len(self._segments[-1].data) > _SEGMENT_BYTES:
            self._segments.append(Segment(first_number=self._number))
            await self._write(preamble, last_index)
        await self._write(group, last_index)

    async def _write(self, group: bytes, last_index: int) -> None:
        self._writing = frame(self._number, group)
        await self.sync()
        self._segments[-1].data += self._writing
        self._segments[-1].highest = max(self._segments[-1].highest, last_index)
        self._writing = b""
        self._number += 1

    async def sync(self) -> None:
        faults, rng = self._world.faults, self._world.rng
        while (left_s := self.stalled_until_s - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left_s)
        if rng.random() < faults.full_disk:
            raise LogWriteFailed("the simulated disk is full")
        slow = rng.random() < faults.slow_sync
        await asyncio.sleep(rng.expovariate(1 / (faults.slow_sync_s if slow else faults.sync_s)))
        if self._is_dead:
            # What the dead began never ends.
            await asyncio.Event().wait()

    async def drop(self, index: int) -> None:
        while len(self._segments) > 1 and self._segments[0].highest < index:
            del self._segments[0]

    def chunks(self) -> Iterator[bytes]:
        assert self._snapshot
        found = payloads(_PATH, iter([self._snapshot[1]]))
        next(found)
        return found

    def draft(self, name: str) -> "Draft":
        return Draft(self)

    def keep(self, header: Header, data: bytes) -> bool:
        if self._snapshot and self._snapshot[0].index >= header.index:
            return False
        self._world.tally.snapshots += 1
        self._snapshot = (header, data)
        return True

    def reader(self) -> "Reader | None":
        return Reader(*self._snapshot) if self._snapshot else None

    def crash(self) -> None:
        """Of the frame being written, any part may have arrived."""
        self._segments[-1].data += self._writing[: self._world.rng.randint(0, len(self._writing))]
        self._writing = b""
        self._is_dead = True

    def close(self) -> None:
        pass


class Draft:
    """A snapshot of which a crash leaves nothing."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._data = bytearray()

    async def write(self, data: bytes) -> None:
        await self._disk.sync()
        self._data += data

    async def check(self) -> Header:
        found = payloads(_PATH, iter([bytes(self._data)]))
        header = read_header(_PATH, next(found))
        for _ in found:
            pass
        return header

    async def keep(self, header: Header) -> bool:
        await self._disk.sync()
        return self._disk.keep(header, bytes(self._data))

    def close(self) -> None:
        pass


class Reader:
    """A snapshot's bytes."""

    def __init__(self, header: Header, data: bytes) -> None:
        self.header = header
        self._data = data

    async def read(self, offset: int, count: int) -> bytes:
        await asyncio.sleep(0)
        return self._data[offset : offset + count]

    def close(self) -> None:
        pass


class Links:
    """One member's network."""

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self.name = name
        self.receiver: Receiver | None = None
        self.up: dict[str, int] = {}
        """Peer → number of the connection to it."""

    async def run(self, receiver: Receiver) -> None:
        self.receiver = receiver
        for peer in self._world.names:
            self._world.connect_soon(self.name, peer)
        await asyncio.Event().wait()

    def set_peers(self, peers: Mapping[str, tuple[str, int]]) -> None:
        """Everybody is linked with everybody: what strangers say must do no harm."""

    def send(self, peer: str, message: Message) -> None:
        seat = self._world.seats[self.name]
        if seat.held is not None:
            seat.held.append(lambda: self.send(peer, message))
        elif peer in self.up:
            self._world.carry(self.name, peer, self.up[peer], message)

    def is_writable(self, peer: str) -> bool:
        return peer in self.up


class Machine:
    """A log of commands; the result of one is its place. Equal on all members, or the world ends."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.length = 0

    def apply(self, command: bytes) -> int:
        history = self._world.history
        if self.length == len(history):
            self._world.check(command not in self._world.places, f"{command!r} was applied twice")
            self._world.places[command] = len(history)
            history.append(command)
        self._world.check(history[self.length] == command, f"members differ at {self.length}")
        self.length += 1
        return self.length

    def snapshot(self) -> Iterator[bytes]:
        length = self.length
        return (b"%d" % length for _ in range(5))

    def restore(self, stream: Iterable[bytes]) -> None:
        [length] = {int(chunk) for chunk in stream}
        self._world.check(self.length <= length <= len(self._world.history), f"restored {length} over {self.length}")
        self.length = length


class Node(RaftNode):
    """Can be paused, as by SIGSTOP: then it takes no turn."""

    seat: "Seat"

    def _take_turn(self) -> None:
        if self.seat.held is None:
            super()._take_turn()
        else:
            self.seat.held.append(super()._take_turn)


@dataclass
class Seat:
    """A member through its lives."""

    name: str
    disk: Disk
    peers: dict[str, tuple[str, int]]
    joins: bool = False
    is_removed: bool = False
    held: list[Callable[[], None]] | None = None
    """While it is paused: what is to happen after."""
    links: Links | None = None
    node: Node | None = None
    machine: Machine | None = None
    task: asyncio.Task[None] | None = None


@dataclass
class Tally:
    """What happened, for the report."""

    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    reads: int = 0
    crashes: int = 0
    cuts: int = 0
    leaders: int = 0
    snapshots: int = 0
    installs: int = 0
    changes: int = 0
    transfers: int = 0
    pauses: int = 0
    longest_outage_s: float = 0.0


@dataclass
class World:
    """`async with` nothing: call `start`, let time pass, look."""

    seed: int
    size: int = 3
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.names = [f"m{number}" for number in range(self.size)]
        peers = {name: (name, 1) for name in self.names}
        self.seats = {name: Seat(name, Disk(self), peers) for name in self.names}
        self.history: list[bytes] = []
        self.places: dict[bytes, int] = {}
        self.leaders: dict[int, str] = {}
        self.cut: set[tuple[str, str]] = set()
        self.tally = Tally()
        self._connections = 0
        self._trace = hashlib.sha256()
        self.violation: str | None = None

    @property
    def trace(self) -> str:
        """Fingerprint of every message delivered, in order and time."""
        return self._trace.hexdigest()[:16]

    def check(self, holds: bool, claim: str) -> None:
        if not holds:
            self.violation = self.violation or f"seed {self.seed}, {asyncio.get_running_loop().time():.3f} s: {claim}"
            raise AssertionError(self.violation)

    # Members.

    def start(self, name: str) -> None:
        seat = self.seats[name]
        config = RaftConfig(
            name,
            _PATH,
            seat.peers,
            seat.peers[name],
            joins=seat.joins,
            apply_slice_s=1.0,
            snapshot_entries=80,
            keep_entries=20,
            install_chunk_bytes=40,
        )
        seat.links, seat.machine, seat.disk = Links(self, name), Machine(self), seat.disk.remount()
        seat.node = Node(
            config,
            seat.machine,
            clock=LoopClock(),
            rng=random.Random(self.rng.getrandbits(64)),
            disk=seat.disk,
            network=seat.links,
        )
        seat.node.seat = seat
        seat.node.on_restored(self._count_install)
        seat.task = asyncio.ensure_future(seat.node.run())
        seat.task.add_done_callback(lambda task: self._ended(seat, task))

    def _count_install(self) -> None:
        self.tally.installs += 1

    def _ended(self, seat: Seat, task: asyncio.Task[None]) -> None:
        """A member that stopped by itself may do so for a full disk alone."""
        if task is not seat.task or task.cancelled():
            return
        error = task.exception()
        if _is(Removed, error):
            seat.is_removed, error = True, None
        self.violation = self.violation or (
            None if error is None or _is(LogWriteFailed, error) else f"seed {self.seed}: {error!r}"
        )
        seat.task = None
        seat.disk.crash()
        self._gone(seat)

    async def crash(self, name: str) -> None:
        """kill -9, or a power cut."""
        seat = self.seats[name]
        if seat.task is None:
            return
        self.tally.crashes += 1
        seat.disk.crash()
        self._gone(seat)
        task, seat.task = seat.task, None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task

    def _gone(self, seat: Seat) -> None:
        assert seat.links
        for peer in list(seat.links.up):
            self.break_link(seat.name, peer)
        seat.links.receiver = None
        seat.links = seat.node = seat.machine = seat.held = None

    def pause(self, name: str) -> None:
        """SIGSTOP: it hears, says and does nothing until `resume`; its disk finishes what it was told."""
        self.tally.pauses += 1
        self.seats[name].held = []

    def resume(self, name: str) -> None:
        seat = self.seats[name]
        held, seat.held = seat.held, None
        for happen in held or ():
            happen()

    def new_member(self, peers: dict[str, tuple[str, int]]) -> str:
        """A seat for one more, with nothing on its disk; it is not started."""
        name = f"m{len(self.names)}"
        self.names.append(name)
        self.seats[name] = Seat(name, Disk(self), {**peers, name: (name, 1)}, joins=True)
        return name

    def leader(self) -> Node | None:
        """Who leads the latest term, as far as it knows."""
        leaders = [seat.node for seat in self.live() if seat.node and seat.node.is_leader]
        return max(leaders, key=lambda node: node.term, default=None)

    def live(self) -> list[Seat]:
        return [seat for seat in self.seats.values() if seat.task is not None]

    # Links.

    def connect_soon(self, one: str, other: str) -> None:
        if one != other:
            asyncio.get_running_loop().call_later(self.rng.uniform(0.01, 0.1), self._connect, one, other)

    def _connect(self, one: str, other: str) -> None:
        links = [self.seats[name].links for name in (one, other)]
        if any(link is None or link.receiver is None for link in links):
            return
        if {(one, other), (other, one)} & self.cut:
            self.connect_soon(one, other)
            return
        first, second = links
        assert first and second and first.receiver and second.receiver
        if other in first.up:
            return
        self._connections += 1
        first.up[other] = second.up[one] = self._connections
        first.receiver.on_connected(other)
        second.receiver.on_connected(one)

    def break_link(self, one: str, other: str) -> None:
        """Both ends see a reset; what is under way is lost."""
        for name, peer in ((one, other), (other, one)):
            links = self.seats[name].links
            if links and links.up.pop(peer, None) is not None and links.receiver:
                links.receiver.on_disconnected(peer)
        self.connect_soon(one, other)

    def carry(self, sender: str, receiver: str, connection: int, message: Message) -> None:
        if isinstance(message, Append):
            leader = self.leaders.setdefault(message.term, sender)
            self.check(leader == sender, f"{leader} and {sender} both lead term {message.term}")
        if (sender, receiver) in self.cut or self.rng.random() < self.faults.loss:
            return
        data = encode(message)
        for _ in range(2 if self.rng.random() < self.faults.repeat else 1):
            is_slow = self.rng.random() < self.faults.slow
            delay_s = self.rng.expovariate(1 / (self.faults.slow_latency_s if is_slow else self.faults.latency_s))
            asyncio.get_running_loop().call_later(delay_s, self._deliver, sender, receiver, connection, data)

    def _deliver(self, sender: str, receiver: str, connection: int, data: bytes) -> None:
        links = self.seats[receiver].links
        if links is None or links.up.get(sender) != connection or links.receiver is None:
            return
        seat = self.seats[receiver]
        if seat.held is not None:
            seat.held.append(lambda: self._deliver(sender, receiver, connection, data))
            return
        self._trace.update(f"{asyncio.get_running_loop().time():.9f} {sender} {receiver} ".encode() + data)
        links.receiver.on_message(sender, decode_message(data))


def _is(kind: type[Exception], error: BaseException | None) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is(kind, part) for part in error.exceptions)
    return isinstance(error, kind)
