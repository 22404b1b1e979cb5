"""What is done to a cluster while it works: one fault at a time, mended before the next."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chaos.cluster import Cluster
from chaos.links import Links
from chaos.recorder import Recorder

KINDS = ("kill", "pause", "partition", "restart-all")
_WEIGHTS = {"kill": 13, "pause": 3, "partition": 4, "restart-all": 1}


@dataclass
class Faults:
    """Leaders are hit two times out of three."""

    cluster: Cluster
    links: Links
    recorder: Recorder
    rng: random.Random
    kinds: tuple[str, ...] = KINDS
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    kills: int = 0
    """Of leaders."""
    failover_s: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """One fault after the other, until cancelled; then all is mended."""
        acts: dict[str, Callable[[], Awaitable[None]]] = {
            "kill": self._kill,
            "pause": self._pause,
            "partition": self._partition,
            "restart-all": self._restart_all,
        }
        weights = [_WEIGHTS[kind] for kind in self.kinds]
        while True:
            await asyncio.sleep(self.rng.uniform(0.3, 1.2))
            kind = self.rng.choices(self.kinds, weights)[0]
            self.counts[kind] += 1
            await acts[kind]()
            await self._healthy()

    async def mend(self) -> None:
        """Everybody runs and hears everybody."""
        self.links.mend()
        for name in self.cluster.names:
            if self.cluster.is_running(name):
                self.cluster.signal(name, signal.SIGCONT)
            else:
                await self.cluster.start(name)

    async def _kill(self) -> None:
        leader = await self.cluster.leader()
        victim = leader if self.rng.random() < 0.8 else self.rng.choice(self.cluster.names)
        killed_s = time.monotonic()
        await self.cluster.end(victim)
        if victim == leader:
            self.kills += 1
            await self._writes_again(killed_s)
        await asyncio.sleep(self.rng.uniform(0, 1))
        await self.cluster.start(victim)

    async def _writes_again(self, since_s: float) -> None:
        """Wait for a write begun after `since_s` to be acknowledged."""
        async with asyncio.timeout(30):
            while self.recorder.last_begun_s <= since_s:
                await self.recorder.progress.wait()
        self.failover_s.append(time.monotonic() - since_s)

    async def _pause(self) -> None:
        victim = await self._victim()
        self.cluster.signal(victim, signal.SIGSTOP)
        await asyncio.sleep(self.rng.uniform(0.2, 3))
        self.cluster.signal(victim, signal.SIGCONT)

    async def _partition(self) -> None:
        victim = await self._victim()
        others = [name for name in self.cluster.names if name != victim]
        way = self.rng.choice(["both", "both", "in", "out"])
        if way != "in":
            self.links.cut([victim], others)
        if way != "out":
            self.links.cut(others, [victim])
        await asyncio.sleep(self.rng.uniform(0.5, 4))
        self.links.mend()

    async def _restart_all(self) -> None:
        for name in self.cluster.names:
            await self.cluster.end(name)
        order = self.rng.sample(self.cluster.names, len(self.cluster.names))
        for name in order:
            await self.cluster.start(name)

    async def _victim(self) -> str:
        leader = await self.cluster.leader()
        return leader if self.rng.random() < 2 / 3 else self.rng.choice(self.cluster.names)

    async def _healthy(self) -> None:
        """Wait until every replica has a leader and is close behind it."""
        async with asyncio.timeout(30):
            while True:
                found = await asyncio.gather(*(self.cluster.status(name) for name in self.cluster.names))
                if all(status and status.leader for status in found):
                    revisions = [status.header.revision for status in found]
                    if max(revisions) - min(revisions) < 200:
                        return
                await asyncio.sleep(0.05)
