"""Real members on real sockets, in this process, for tests."""

import asyncio
import contextlib
import random
import socket
from asyncio import sleep
from pathlib import Path

import msgspec

from minik8s.kit import tls
from minik8s.kit.clock import SystemClock
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.node import RaftNode


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below the range the kernel gives to clients."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(20000, 31999)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found


async def until(condition, timeout_s: float = 10.0):
    """The first true value of `condition`."""
    async with asyncio.timeout(timeout_s):
        while not (value := condition()):
            await sleep(0.005)
    return value


def configs(directory: Path, names, *, secure=True, **knobs) -> dict[str, RaftConfig]:
    """A configuration per member, with certificates of one authority."""
    peers = {name: ("127.0.0.1", port) for name, port in zip(names, free_ports(len(names)), strict=True)}
    authority = tls.Authority(directory / "ca") if secure else None
    return {
        name: RaftConfig(
            name,
            directory / name,
            peers,
            peers[name],
            identity=authority.issue(name, user=name) if authority else None,
            **knobs,
        )
        for name in names
    }


class Ledger:
    """A state machine that keeps what it is told; the result is the length."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []

    def apply(self, command: bytes) -> int:
        self.commands.append(command)
        return len(self.commands)

    def snapshot(self):
        kept = list(self.commands)
        return (msgspec.msgpack.encode(kept[first : first + 100]) for first in range(0, len(kept), 100))

    def restore(self, stream):
        self.commands[:] = [command for chunk in stream for command in msgspec.msgpack.decode(chunk, type=list[bytes])]


class Members:
    """A running cluster: `async with Members(configs) as cluster`."""

    def __init__(self, configs: dict[str, RaftConfig]) -> None:
        self.configs = configs
        self.nodes: dict[str, RaftNode] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> "Members":
        for name in self.configs:
            await self.start(name)
        return self

    async def __aexit__(self, *_) -> None:
        for name in list(self.tasks):
            with contextlib.suppress(Exception):  # the test's own failure tells more
                await self.stop(name)

    async def start(self, name: str) -> RaftNode:
        """Run a member; it has read its log when this returns."""
        self.ledgers[name] = Ledger()
        self.nodes[name] = RaftNode(
            self.configs[name], self.ledgers[name], clock=SystemClock(), rng=random.Random(random.random())
        )
        self.tasks[name] = asyncio.ensure_future(self.nodes[name].run())
        await until(lambda: self.nodes[name].last_index or self.tasks[name].done())
        return self.nodes[name]

    async def stop(self, name: str) -> None:
        task = self.tasks.pop(name)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def leader(self) -> RaftNode:
        """A leader that others follow too."""

        def agreed():
            running = [self.nodes[name] for name in self.tasks]
            leaders = {node.leader for node in running}
            return len(leaders) == 1 and next((node for node in running if node.is_leader), None)

        return await until(agreed)
