"""One run of the simulation: clients write and read while the world goes wrong, then it calms down and is looked
over."""

import asyncio
import contextlib
import random
from asyncio import sleep

from minik8s.store.raft.errors import NotProposed, ProposalTimeout, RaftError
from minik8s.store.raft.node import RaftNode
from sim.store.virtual_loop import run
from sim.store.world import CALM, Faults, Seat, Tally, World


class Clients:
    """Callers on all members, and what they were told."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._number = 0
        self._newest = 0
        self.acknowledged: dict[bytes, int] = {}
        self.refused: set[bytes] = set()
        self._last_ack_s = 0.0

    async def write(self, timeout_s: float = 30, seat: Seat | None = None) -> bool:
        """Propose a new command somewhere; whether it was acknowledged."""
        world = self._world
        seat = seat or self._rng.choice(world.live() or [None])  # type: ignore[list-item]
        if seat is None or seat.node is None:
            await sleep(0.05)
            return False
        self._number += 1
        command = b"%d" % self._number
        try:
            async with asyncio.timeout(timeout_s):
                place = await seat.node.propose(command)
        except NotProposed:
            self.refused.add(command)
            world.tally.refused += 1
            return False
        except ProposalTimeout:
            world.tally.unknown += 1
            return False
        world.check(world.history[place - 1 : place] == [command], f"{command!r} acknowledged at {place}, not there")
        self.acknowledged[command] = place
        self._newest = max(self._newest, place)
        world.tally.acknowledged += 1
        now_s = asyncio.get_running_loop().time()
        world.tally.longest_outage_s = max(world.tally.longest_outage_s, now_s - self._last_ack_s)
        self._last_ack_s = now_s
        return True

    async def read(self) -> None:
        """A linearizable read on any member sees all that was acknowledged before it began."""
        world = self._world
        seat = self._rng.choice(world.live() or [None])  # type: ignore[list-item]
        if seat is None or seat.node is None:
            await sleep(0.05)
            return
        newest, machine = self._newest, seat.machine
        try:
            await seat.node.read_index()
        except RaftError:
            return
        assert machine
        world.check(machine.length >= newest, f"{seat.name} read {machine.length} after {newest} was acknowledged")
        world.tally.reads += 1

    async def work(self) -> None:
        while True:
            await sleep(self._rng.expovariate(1 / 0.05))
            await (self.write() if self._rng.random() < 0.7 else self.read())


_TROUBLES = (
    *("crash", "crash", "crash leader", "cut off", "one way", "break", "all"),
    *("pause", "pause leader", "stall", "transfer", "transfer"),
)


async def harm(world: World) -> None:
    """Crash, cut off, break links, one after the other, overlapping."""
    rng = world.rng
    async with asyncio.TaskGroup() as group:
        while True:
            await sleep(rng.expovariate(1 / world.faults.mean_between_s))
            one, other = rng.choice(world.names), rng.choice(world.names)
            match rng.choice(_TROUBLES):
                case "crash":
                    group.create_task(_crash(world, [one]))
                case "crash leader":
                    leaders = [seat.name for seat in world.live() if seat.node and seat.node.is_leader]
                    group.create_task(_crash(world, leaders))
                case "all":
                    group.create_task(_crash(world, world.names))
                case "cut off":
                    sides = {(one, peer) for peer in world.names} | {(peer, one) for peer in world.names}
                    group.create_task(_cut(world, sides))
                case "one way":
                    group.create_task(_cut(world, {(one, other)}))
                case "break":
                    world.break_link(one, other)
                case "pause":
                    group.create_task(_pause(world, one))
                case "pause leader" if leader := world.leader():
                    group.create_task(_pause(world, leader.name))
                case "stall":
                    world.seats[one].disk.stalled_until_s = asyncio.get_running_loop().time() + rng.uniform(0.5, 4)
                case "transfer" if leader := world.leader():
                    group.create_task(_transfer(world, leader))


async def _crash(world: World, names: list[str]) -> None:
    for name in names:
        await world.crash(name)
    await sleep(world.rng.uniform(0.05, 4))


async def _cut(world: World, ways: set[tuple[str, str]]) -> None:
    world.tally.cuts += 1
    world.cut |= ways
    await sleep(world.rng.uniform(0.2, 6))
    world.cut -= ways


async def _pause(world: World, name: str) -> None:
    if world.seats[name].task is None or world.seats[name].held is not None:
        return
    node = world.seats[name].node
    world.pause(name)
    await sleep(world.rng.uniform(0.2, 5))
    if world.seats[name].node is node:
        world.resume(name)


async def _transfer(world: World, leader: RaftNode) -> None:
    to = world.rng.choice(sorted(leader.configuration))
    with contextlib.suppress(RaftError):
        await leader.transfer_leadership(to)
        world.tally.transfers += 1


async def change_members(world: World) -> None:
    """One after the other: add learners and voters, promote, remove, also the leader; never below two voters or above
    five members."""
    rng = world.rng
    while True:
        await sleep(rng.expovariate(1 / (2 * world.faults.mean_between_s)))
        seat = rng.choice(world.live() or [None])  # type: ignore[list-item]
        if seat is None or seat.node is None or not (leader := world.leader()):
            continue
        configuration = leader.configuration
        names = sorted(configuration)
        voters = [name for name in names if not configuration[name][1]]
        learners = [name for name in names if configuration[name][1]]
        try:
            if learners and rng.random() < 0.7:
                await seat.node.promote(learners[0])
            elif len(names) >= 5 or (len(voters) > 2 and rng.random() < 0.5):
                name = leader.name if rng.random() < 0.3 else rng.choice(names)
                await seat.node.remove_member(name)
            elif len(names) < 5:
                name = world.new_member({peer: (peer, 1) for peer in names})
                await seat.node.add_member(name, (name, 1), learner=rng.random() < 0.7)
                if world.seats[name].task is None:  # `restart` may have been quicker than the answer
                    world.start(name)
            world.tally.changes += 1
        except RaftError:
            continue


async def restart(world: World) -> None:
    """Whoever is down comes back some time."""
    while True:
        await sleep(world.rng.uniform(0.1, 1.0))
        for seat in world.seats.values():
            # Who was added without our hearing of it starts, too.
            if seat.task is None and not seat.is_removed and world.rng.random() < 0.5:
                world.start(seat.name)


async def tell(world: World, duration_s: float) -> None:
    """The story. Raises AssertionError at the first violation."""
    clients = Clients(world, random.Random(world.seed + 1))
    for name in world.names:
        world.start(name)
    tasks = [asyncio.ensure_future(clients.work()) for _ in range(8)]
    troubles = [asyncio.ensure_future(work) for work in (harm(world), restart(world), change_members(world))]
    done, _ = await asyncio.wait([*tasks, *troubles], timeout=duration_s, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
    for task in troubles:
        task.cancel()
    world.faults, world.cut = CALM, set()
    for seat in world.seats.values():
        world.resume(seat.name)
        if seat.task is None and not seat.is_removed:
            world.start(seat.name)
    await sleep(12)
    for task in tasks:
        task.cancel()
    await asyncio.wait([*tasks, *troubles])
    world.check(world.violation is None, str(world.violation))
    leader = world.leader()
    try:
        was_written = leader is not None and await clients.write(timeout_s=1, seat=world.seats[leader.name])
    except TimeoutError:
        was_written = False
    world.check(was_written, "no write a while after all faults ended")
    await sleep(1)
    _look_over(world, clients)
    for seat in world.live():
        await world.crash(seat.name)


def _look_over(world: World, clients: Clients) -> None:
    leader = world.leader()
    assert leader
    seats = [world.seats[name] for name in leader.configuration]
    lengths = {seat.name: seat.machine.length if seat.machine else None for seat in seats}
    world.check(set(lengths.values()) == {len(world.history)}, f"not all caught up: {lengths}")
    lost = [command for command, place in clients.acknowledged.items() if world.history[place - 1] != command]
    world.check(not lost, f"acknowledged but lost: {lost[:5]}")
    liars = [command for command in clients.refused if command in world.places]
    world.check(not liars, f"refused but applied: {liars[:5]}")
    world.tally.leaders = len(world.leaders)


def simulate(seed: int, *, size: int = 3, duration_s: float = 60, faults: Faults | None = None) -> tuple[str, Tally]:
    """The trace and tally of one seed. Raises AssertionError at a violation."""

    async def main() -> tuple[str, Tally]:
        world = World(seed, size, faults or Faults())
        await tell(world, duration_s)
        return world.trace, world.tally

    return run(main())
