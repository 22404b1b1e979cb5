"""Kill leaders of a real three-replica store under load, and prove what that cost.

Clients on all members keep at least 200 writes in flight, each of a key of its own; leaders are killed with SIGKILL
one after the other and started again. Afterwards every acknowledged write is there, once, at the revision that was
acknowledged; all members hash alike; and a watch carried across the kills (re-opened on another member from its last
revision + 1) saw exactly the history: no gap, no repeat, no going back.

    scripts/kill-leaders --kills 20 --runs 20
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import grpc

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from minik8s.wire.etcd import rpc_pb2 as rpc
from store.replicas import Replicas

WRITERS = 210
VALUE = b"x" * 128


@dataclass
class Outcome:
    """What a run saw, and what was wrong with it."""

    acknowledged: dict[bytes, int] = field(default_factory=dict)  # key → revision
    unknown: set[bytes] = field(default_factory=set)  # written, never answered
    watched: list[tuple[int, bytes]] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)  # from each kill to the next write begun and acknowledged
    in_flight_least: int = WRITERS
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        gaps = sorted(self.gaps_s)
        return (
            f"kills={len(gaps)} acknowledged={len(self.acknowledged)} unknown={len(self.unknown)} "
            f"watched={len(self.watched)} in_flight_at_kill>={self.in_flight_least} "
            f"gap_s: median={gaps[len(gaps) // 2]:.2f} max={gaps[-1]:.2f} "
            f"faults={self.faults or 'none'}"
        )


class Load:
    """Writers and one watcher."""

    def __init__(self, replicas: Replicas, outcome: Outcome) -> None:
        self.replicas, self.outcome = replicas, outcome
        self.stopping = False
        self.in_flight = 0
        self._begun = 0
        self._acknowledged = asyncio.Condition()
        self._last_begun_acknowledged = 0

    async def write(self, writer: int) -> None:
        """Put one key after another, changing to the next member whenever one fails."""
        names, turn = self.replicas.names, writer
        for number in range(sys.maxsize):
            if self.stopping:
                return
            key = f"w/{writer:03}/{number:06}".encode()
            self._begun += 1
            begun = self._begun
            self.in_flight += 1
            try:
                response = await self.replicas.call(
                    names[turn % 3], "KV/Put", rpc.PutRequest(key=key, value=VALUE), rpc.PutResponse, 15
                )
            except grpc.aio.AioRpcError:
                self.outcome.unknown.add(key)
                turn += 1
                await asyncio.sleep(0.01)
                continue
            finally:
                self.in_flight -= 1
            self.outcome.acknowledged[key] = response.header.revision
            if begun > self._last_begun_acknowledged:
                self._last_begun_acknowledged = begun
                async with self._acknowledged:
                    self._acknowledged.notify_all()

    async def progress(self) -> None:
        """Wait until a write that begins from now on is acknowledged."""
        begun = self._begun
        async with self._acknowledged:
            await self._acknowledged.wait_for(lambda: self._last_begun_acknowledged > begun)

    async def watch(self) -> None:
        """Follow all writes from the first, over whichever member answers, until a key `end` comes."""
        revision, turn = 0, 0
        while True:
            turn += 1
            channel = self.replicas.channel(self.replicas.names[turn % 3])
            call = channel.stream_stream(
                "/etcdserverpb.Watch/Watch", lambda message: message.SerializeToString(), rpc.WatchResponse.FromString
            )(metadata=[("hasleader", "true")])
            create = rpc.WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=revision + 1 if revision else 1)
            try:
                await call.write(rpc.WatchRequest(create_request=create))
                while (response := await call.read()) is not grpc.aio.EOF:
                    if response.canceled:
                        self.outcome.faults.append(f"watch cancelled: {response}")
                        return
                    for event in response.events:
                        revision = event.kv.mod_revision
                        if event.kv.key == b"end":
                            call.cancel()
                            return
                        self.outcome.watched.append((revision, event.kv.key))
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await asyncio.sleep(0.05)


async def kill_leaders(directory: Path, kills: int) -> Outcome:
    """One run: its outcome, with the faults found."""
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    async with Replicas(directory) as replicas:
        await replicas.settled()
        load = Load(replicas, outcome)
        watcher = asyncio.create_task(load.watch())
        writers = [asyncio.create_task(load.write(writer)) for writer in range(WRITERS)]
        for _ in range(kills):
            await asyncio.wait_for(load.progress(), 20)
            await asyncio.sleep(0.3)
            leader = await replicas.leader()
            outcome.in_flight_least = min(outcome.in_flight_least, load.in_flight)
            await replicas.end(leader)
            killed_s = loop.time()
            await asyncio.wait_for(load.progress(), 30)
            outcome.gaps_s.append(loop.time() - killed_s)
            await asyncio.sleep(0.3)
            await replicas.start(leader)
            await _caught_up(replicas, leader)
        load.stopping = True
        await asyncio.wait_for(asyncio.gather(*writers), 30)
        await replicas.settled()
        await replicas.call(replicas.names[0], "KV/Put", rpc.PutRequest(key=b"end"), rpc.PutResponse)
        await asyncio.wait_for(watcher, 30)
        await replicas.settled()
        await _judge(replicas, outcome)
    return outcome


async def _caught_up(replicas: Replicas, name: str) -> None:
    """Wait until a member that was started again is close behind its leader."""
    async with asyncio.timeout(30):
        while True:
            status = await replicas.status(name)
            other = await replicas.status(next(peer for peer in replicas.names if peer != name))
            if status and other and status.leader and status.raftAppliedIndex + 500 > other.raftAppliedIndex:
                return
            await asyncio.sleep(0.05)


async def _judge(replicas: Replicas, outcome: Outcome) -> None:
    hashes = set()
    for name in replicas.names:
        stored: dict[bytes, int] = {}
        key = b"w/"
        while True:
            request = rpc.RangeRequest(key=key, range_end=b"w0", limit=5000)
            page = await replicas.call(name, "KV/Range", request, rpc.RangeResponse)
            for kv in page.kvs:
                stored[kv.key] = kv.mod_revision
                if kv.version != 1:
                    outcome.faults.append(f"{name}: {kv.key!r} was written {kv.version} times")
            if not page.more:
                break
            key = page.kvs[-1].key + b"\0"
        lost = [k for k, revision in outcome.acknowledged.items() if stored.get(k) != revision]
        if lost:
            outcome.faults.append(f"{name}: {len(lost)} acknowledged writes lost or moved, such as {lost[:3]}")
        if strangers := stored.keys() - outcome.acknowledged.keys() - outcome.unknown:
            outcome.faults.append(f"{name}: {len(strangers)} keys that nobody wrote")
        if outcome.watched != sorted((revision, k) for k, revision in stored.items()):
            outcome.faults.append(
                f"{name}: the watch saw {len(outcome.watched)} events of {len(stored)}, or in disorder"
            )
        hashed = await replicas.call(name, "Maintenance/HashKV", rpc.HashKVRequest(), rpc.HashKVResponse)
        hashes.add((hashed.hash, hashed.hash_revision, hashed.compact_revision))
    if len(hashes) != 1:
        outcome.faults.append(f"the members' hashes differ: {hashes}")


def main() -> int:
    """Exit code 0 when no run has a fault and every gap is below two seconds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="leaders to kill in each run (20)")
    parser.add_argument("--runs", type=int, default=1, help="runs, each on a fresh cluster (1)")
    args = parser.parse_args()
    bad = 0
    for run in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="minik8s-kill-leaders-") as directory:
            outcome = asyncio.run(kill_leaders(Path(directory), args.kills))
        bad += bool(outcome.faults) or max(outcome.gaps_s) > 2
        print(f"run {run + 1}: {outcome}", flush=True)
    print(f"{args.runs - bad} of {args.runs} runs without a lost write, a wrong watch or a gap above 2 s")
    return bool(bad)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
