"""Hurt a real three-replica store under load, record what its clients saw, and hold it against etcd's promises.

Clients on all replicas read and write ten keys; watchers on all replicas follow; leaders are killed, replicas stopped
and cut off, the whole cluster restarted. Every episode of at most ten seconds ends with a guard write that all earlier
calls precede. Then `minik8s.store.verify` decides.

    scripts/chaos store --seconds 600
    scripts/chaos store --seconds 60 --faults kill --seed 7 --history /tmp/history.jsonl
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaos.cluster import Cluster
from chaos.faults import KINDS, Faults
from chaos.links import Links
from chaos.recorder import Recorder
from chaos.traffic import Traffic
from minik8s.store.verify import history as h
from minik8s.store.verify.report import Report, verify
from minik8s.wire.etcd import rpc_pb2

GUARD = "guard"
_ALL = ("\0", "\0")
_TIMEOUT_S = 2.0


@dataclass
class Load:
    """Clients and watchers of a cluster, in episodes."""

    cluster: Cluster
    recorder: Recorder
    rng: random.Random
    clients: int = 12
    calls_per_s: float = 300.0
    _is_open: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: int = 0
    _guards: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def _whole(self) -> range:
        """The watchers that follow everything."""
        return range(len(self.cluster.names))

    async def run(self, seconds: float, episode_s: float) -> None:
        """Load for so long; may be called again."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + seconds
        if not self._tasks:
            watchers = (self._watch(number) for number in range(2 * len(self.cluster.names)))
            clients = (self._client(number) for number in range(self.clients))
            self._tasks = [asyncio.ensure_future(task) for task in (*watchers, *clients)]
        while (rest_s := end_s - loop.time()) > 0:
            self._is_open.set()
            await asyncio.sleep(min(episode_s, rest_s))
            await self._end_episode()

    async def end(self, patience_s: float = 60) -> bool:
        """Once all is mended, the last guard, and its hash everywhere; whether the watchers saw it."""
        await self.cluster.settled(60)
        last = await self._end_episode()
        try:
            async with asyncio.timeout(patience_s):
                while any(self.recorder.next_revisions.get(number, 0) <= last for number in self._whole):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            return False
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.cluster.settled()
        await self._hash_all(last)
        return True

    async def _client(self, number: int) -> None:
        """One call after the other, on the next replica after each failure."""
        traffic = Traffic(number, random.Random(self.rng.random()))
        names, turn = self.cluster.names, number
        rng = random.Random(self.rng.random())
        while True:
            await self._is_open.wait()
            request = traffic.next(self.recorder.revision)
            member = names[turn % len(names)]
            self._busy += 1
            try:
                channel = self.cluster.channel(member)
                answer = await self.recorder.call(number, member, channel, request, _TIMEOUT_S)
            finally:
                self._busy -= 1
            if answer:
                traffic.heard(answer)
            else:
                turn += 1
            await asyncio.sleep(rng.expovariate(self.calls_per_s / self.clients) if answer else 0.02)

    async def _watch(self, number: int) -> None:
        """Half the watchers follow everything, each from replica to replica; the others a part, from now on."""
        names, turn = self.cluster.names, number
        is_whole = number in self._whole
        next_revision = 1 if is_whole else 0
        while True:
            member = names[turn % len(names)]
            if is_whole:
                watch = h.Watch(number, member, *_ALL, start_revision=next_revision, has_previous=True)
            else:
                watch = h.Watch(number, member, "k", "l", start_revision=next_revision, without=("delete",))
            channel = self.cluster.new_channel(member)
            try:
                # A watch ends after a while, so that many are resumed.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(5 + 10 * self.rng.random()):
                        await self.recorder.watch(watch, channel, asks_s=0.0 if number % 2 else 0.3)
            finally:
                await channel.close()
            next_revision = self.recorder.next_revisions[number]
            turn += 1

    async def _end_episode(self) -> int:
        """Let calls end, write the guard, compare hashes; the guard's revision."""
        self._is_open.clear()
        while self._busy:
            await asyncio.sleep(0.005)
        answer: h.Answer | None = None
        while answer is None or answer.error:
            self._guards += 1
            request = h.Txn(success=(h.Put(GUARD, str(self._guards)), h.Range(*_ALL)))
            member = self.cluster.names[self._guards % len(self.cluster.names)]
            answer = await self.recorder.call(-1, member, self.cluster.channel(member), request, _TIMEOUT_S)
        self.recorder.write(h.EpisodeEnd(self._guards))
        await self._hash_all(answer.revision)
        return answer.revision

    async def _hash_all(self, revision: int) -> None:
        """The hash of every replica that answers and is so far."""
        for member in self.cluster.names:
            await self._hash(member, revision)

    async def _hash(self, member: str, revision: int) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            request = rpc_pb2.HashKVRequest(revision=revision)
            found = await self.cluster.call(member, "Maintenance/HashKV", request, rpc_pb2.HashKVResponse, 1)
            self.recorder.write(h.Hash(member, revision, found.compact_revision, found.hash))


@dataclass
class Outcome:
    """A run's verdict."""

    report: Report
    faults: Faults
    seed: int

    def as_json(self) -> dict[str, object]:
        """As scripts/chaos --json prints it."""
        gaps = self.faults.failover_s
        return {
            "acked": self.report.acked,
            "lost": self.report.lost,
            "violations": len(self.report.violations),
            "linearizable": self.report.is_linearizable,
            "kills": self.faults.kills,
            "failover_s": {
                "p50": round(statistics.median(gaps), 3) if gaps else None,
                "max": round(max(gaps), 3) if gaps else None,
            },
            "seed": self.seed,
        }


@contextlib.asynccontextmanager
async def hurt(faults: Faults) -> AsyncIterator[None]:
    """Faults while the context lasts, all mended after it. A harness that gives up raises."""
    task = asyncio.ensure_future(faults.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await faults.mend()


async def run(
    directory: Path,
    file: Path,
    *,
    seconds: float,
    seed: int,
    kinds: tuple[str, ...] = KINDS,
    episode_s: float = 8.0,
    calls_per_s: float = 300.0,
) -> Outcome:
    """One run on a fresh cluster, its history in `file`."""
    rng = random.Random(seed)
    cluster = Cluster(directory, with_tls=True, flags=("--watch-progress-notify-interval=700ms",))
    with file.open("wb") as output:
        recorder = Recorder(output)
        async with Links(cluster) as links, cluster:
            await cluster.settled()
            faults = Faults(cluster, links, recorder, rng, kinds)
            load = Load(cluster, recorder, rng, calls_per_s=calls_per_s)
            if kinds:
                async with hurt(faults):
                    await load.run(seconds, episode_s)
            else:
                await load.run(seconds, episode_s)
            is_complete = await load.end()
    with file.open("rb") as lines:
        report = verify(h.read(lines))
    if not is_complete:
        report.violations.append("a watch of everything did not come to the last revision within a minute")
    return Outcome(report, faults, seed)


def main() -> int:
    """Exit code 0 if nothing was lost and nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of load (60)")
    parser.add_argument("--faults", default=",".join(KINDS), help=f"which, of {','.join(KINDS)} (all); none: no fault")
    parser.add_argument("--seed", type=int, help="of traffic and faults; timing is the machine's (random)")
    parser.add_argument("--rate", type=float, default=300, help="calls per second, about (300)")
    parser.add_argument("--history", type=Path, help="keep the history here, for minik8s verify")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    args = parser.parse_args()
    kinds = tuple(kind for kind in args.faults.split(",") if kind and kind != "none")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 30)
    with tempfile.TemporaryDirectory(prefix="minik8s-chaos-") as directory:
        file = args.history or Path(directory) / "history.jsonl"
        outcome = asyncio.run(
            run(Path(directory), file, seconds=args.seconds, seed=seed, kinds=kinds, calls_per_s=args.rate)
        )
    if args.json:
        print(json.dumps(outcome.as_json()))
    else:
        report = outcome.report
        print(f"{report.calls} calls, {report.unknown} of unknown outcome; {report.episodes} episodes; "
              f"{report.watches} watches, {report.events} events; faults {outcome.faults.counts}")  # fmt: skip
        print(", ".join(f"{name} {value}" for name, value in outcome.as_json().items()))
    for violation in outcome.report.violations[:20]:
        print(violation, file=sys.stderr)
    return 0 if outcome.report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
