"""Our three replicas and three of Debian's etcd, measured in turn: the same flags, plain text, durable, one machine.

Unary load comes from h2load at the leader, watches and failovers from this process. Each round starts fresh clusters;
ratios are medians over rounds of ours to etcd's. A server of the same grpcio that only echoes is the ceiling.

    scripts/bench store
    scripts/bench store --rounds 5 --json
    scripts/bench store --only put_100
    scripts/bench store --keys 1000000
    scripts/bench store --catch-up-mb 1024
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaos.cluster import Cluster, has_etcd
from store.serving import free_port

from bench import catchup, large
from bench.h2load import h2load, has_h2load
from minik8s.wire.etcd import rpc_pb2 as rpc

KEY, VALUE = b"bench/key", b"x" * 256
WATCHERS, WATCHED_PUTS, WATCHED_PUTS_PER_S = 10, 400, 200
_PUT = rpc.PutRequest(key=KEY, value=VALUE)
_TXN = rpc.TxnRequest(
    compare=[rpc.Compare(key=KEY, target="VERSION", result="GREATER", version=0)],
    success=[rpc.RequestOp(request_put=_PUT)],
    failure=[rpc.RequestOp(request_put=_PUT)],
)
UNARY: dict[str, tuple[str, Any, int]] = {
    "put_1": ("KV/Put", _PUT, 1),
    "put_10": ("KV/Put", _PUT, 10),
    "put_100": ("KV/Put", _PUT, 100),
    "txn_100": ("KV/Txn", _TXN, 100),
    "range_linearizable_100": ("KV/Range", rpc.RangeRequest(key=KEY), 100),
    "range_serializable_100": ("KV/Range", rpc.RangeRequest(key=KEY, serializable=True), 100),
}
OTHERS = ("watch_p99", "failover")
ECHOED = ("put_1", "put_100", "range_linearizable_100", "range_serializable_100")
"""The ceiling is measured with as many clients as these."""


@dataclass
class Figures:
    """Of one kind of cluster: name of a measurement → its value in each round."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float | None:
        return statistics.median(self.values[name]) if self.values.get(name) else None

    def medians(self) -> dict[str, float]:
        return {name: round(statistics.median(values), 3) for name, values in self.values.items()}


@dataclass
class Bench:
    """What to measure, and what was found."""

    wanted: tuple[str, ...]
    seconds: float
    figures: dict[str, Figures] = field(
        default_factory=lambda: {kind: Figures() for kind in ("minik8s", "etcd", "echo")}
    )

    async def round(self, number: int) -> None:
        """Everything once, the order turned from round to round."""
        kinds = ["minik8s", "etcd"] if has_etcd() else ["minik8s"]
        for kind in kinds if number % 2 else reversed(kinds):
            with tempfile.TemporaryDirectory(prefix=f"minik8s-bench-{kind}-") as directory:
                await self._measure(kind, Path(directory))
        await self._measure_echo()

    async def _measure(self, kind: str, directory: Path) -> None:
        figures = self.figures[kind]
        begun_s = time.monotonic()
        async with Cluster(directory, kind=kind) as cluster:
            await cluster.settled()
            figures.add("start_up_s", time.monotonic() - begun_s)
            leader = await cluster.leader()
            await cluster.call(leader, "KV/Put", _PUT, rpc.PutResponse)
            for name, (method, request, clients) in UNARY.items():
                if name in self.wanted:
                    await self._unary(cluster, figures, name, method, request, clients)
            if "watch_p99" in self.wanted:
                p50_ms, p99_ms = await watch_latency_ms(cluster)
                figures.add("watch_p50_ms", p50_ms)
                figures.add("watch_p99", p99_ms)
            figures.add(
                "memory_mb", max(large.memory_bytes(process.pid) for process in cluster.processes.values()) / (1 << 20)
            )
            if "failover" in self.wanted:
                for _ in range(3):
                    figures.add("failover", await failover_s(cluster))

    async def _unary(
        self, cluster: Cluster, figures: Figures, name: str, method: str, request: Any, clients: int
    ) -> None:
        leader = await cluster.leader()
        before = await cluster.status(leader)
        load = await h2load(
            cluster.address[leader],
            f"/etcdserverpb.{method}",
            request.SerializeToString(),
            clients=clients,
            seconds=self.seconds,
        )
        after = await cluster.status(leader, 10)
        assert after, f"{leader} does not answer after the load"
        if method != "KV/Range" and after.header.revision - before.header.revision < load.count:
            raise RuntimeError(f"{cluster.kind} {name}: {load.count} answers, but fewer writes")
        figures.add(name, load.per_s)
        figures.add(f"{name}_p50_ms", load.p50_ms)
        figures.add(f"{name}_p99_ms", load.p99_ms)

    async def _measure_echo(self) -> None:
        wanted = [name for name in ECHOED if name in self.wanted]
        if not wanted:
            return
        async with echo(len(VALUE) + 60) as address:
            for clients in {UNARY[name][2] for name in wanted}:
                request = UNARY["put_1"][1].SerializeToString()
                load = await h2load(address, "/echo/Echo", request, clients=clients, seconds=self.seconds)
                for name in wanted:
                    if UNARY[name][2] == clients:
                        self.figures["echo"].add(name, load.per_s)

    def as_json(self) -> dict[str, Any]:
        """Ratios of medians, and what they are made of."""
        ours = self.figures["minik8s"]

        def ratios(to: Figures, names: tuple[str, ...]) -> dict[str, float]:
            pairs = {name: (ours.median(name), to.median(name)) for name in names}
            return {name: round(mine / theirs, 3) for name, (mine, theirs) in pairs.items() if mine and theirs}

        return {
            "ratios": ratios(self.figures["etcd"], (*UNARY, *OTHERS)),
            "of_echo": ratios(self.figures["echo"], ECHOED),
            "figures": {kind: figures.medians() for kind, figures in self.figures.items()},
        }


async def watch_latency_ms(cluster: Cluster) -> tuple[float, float]:
    """(p50, p99) from before a put is sent to when each of the watchers on the leader has its event."""
    leader = await cluster.leader()
    latencies: list[float] = []
    create = rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"watched"))

    async def follow(channel: grpc.aio.Channel, ready: asyncio.Semaphore) -> None:
        call = channel.stream_stream("/etcdserverpb.Watch/Watch", _encode, rpc.WatchResponse.FromString)()
        await call.write(create)
        seen = 0
        while seen < WATCHED_PUTS:
            response = await call.read()
            now_s = time.monotonic()
            if response.created:
                ready.release()
            for event in response.events:
                latencies.append(now_s - float(event.kv.value))
                seen += 1
        call.cancel()

    channels = [cluster.new_channel(leader) for _ in range(WATCHERS)]
    ready = asyncio.Semaphore(0)
    watchers = [asyncio.ensure_future(follow(channel, ready)) for channel in channels]
    for _ in watchers:
        await asyncio.wait_for(ready.acquire(), 10)
    puts: set[asyncio.Task[Any]] = set()
    begun_s = time.monotonic()
    for number in range(WATCHED_PUTS):
        await asyncio.sleep(begun_s + number / WATCHED_PUTS_PER_S - time.monotonic())
        put = rpc.PutRequest(key=b"watched", value=str(time.monotonic()).encode())
        puts.add(asyncio.ensure_future(cluster.call(leader, "KV/Put", put, rpc.PutResponse)))
    await asyncio.gather(*puts)
    await asyncio.wait_for(asyncio.gather(*watchers), 30)
    for channel in channels:
        await channel.close()
    latencies.sort()
    return latencies[len(latencies) // 2] * 1000, latencies[int(len(latencies) * 0.99)] * 1000


async def failover_s(cluster: Cluster) -> float:
    """From kill -9 of the leader to an acknowledged put that was begun after it; the cluster is whole again then."""
    leader = await cluster.leader()
    others = [name for name in cluster.names if name != leader]
    for name in others:
        await cluster.call(name, "KV/Put", _PUT, rpc.PutResponse)
    killed_s = time.monotonic()
    await cluster.end(leader)

    async def write(name: str) -> None:
        while True:
            try:
                await cluster.call(name, "KV/Put", _PUT, rpc.PutResponse, 0.5)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.01)
            else:
                return

    writers = [asyncio.ensure_future(write(name)) for name in others]
    await asyncio.wait(writers, return_when=asyncio.FIRST_COMPLETED, timeout=30)
    gap_s = time.monotonic() - killed_s
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)
    await cluster.start(leader)
    await cluster.settled()
    return gap_s


@asynccontextmanager
async def echo(size: int) -> AsyncIterator[str]:
    """HOST:PORT of the echo server."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("echo.py")), str(port), str(size)
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 20)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


def _encode(message: Any) -> bytes:
    return message.SerializeToString()


def print_table(found: dict[str, Any], print_line: Callable[[str], None] = print) -> None:
    """The figures side by side."""
    figures = found["figures"]
    print_line(f"{'':26}{'ours':>10}{'etcd':>10}{'echo':>10}{'to etcd':>10}{'to echo':>10}")
    for name in figures["minik8s"]:
        row = [figures[kind].get(name) for kind in ("minik8s", "etcd", "echo")]
        row += [found["ratios"].get(name), found["of_echo"].get(name)]
        cells = ["" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.2f}" for value in row]
        print_line(
            f"{name:26}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, (10, 10, 10, 9, 9), strict=True))
        )


async def run(rounds: int, wanted: tuple[str, ...], seconds: float) -> dict[str, Any]:
    bench = Bench(wanted, seconds)
    for number in range(rounds):
        await bench.round(number)
    return bench.as_json()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = (*UNARY, *OTHERS)
    parser.add_argument("--rounds", type=int, default=3, help="fresh clusters of each kind (3)")
    parser.add_argument("--seconds", type=float, default=3, help="of each load (3)")
    parser.add_argument("--only", default=",".join(names), help=f"which of {','.join(names)} (all)")
    parser.add_argument("--json", action="store_true", help="print ratios and figures as JSON")
    parser.add_argument("--keys", type=int, help="instead, measure one member of ours with so many keys of 256 bytes")
    parser.add_argument("--catch-up-mb", type=int, help="instead, measure a member that joins with so much to learn")
    args = parser.parse_args()
    if args.catch_up_mb:
        print(json.dumps(asyncio.run(catchup.measure(args.catch_up_mb)), indent=None if args.json else 2))
        return 0
    if args.keys:
        print(json.dumps(asyncio.run(large.measure(args.keys)), indent=None if args.json else 2))
        return 0
    wanted = tuple(name for name in args.only.split(",") if name)
    if unknown := set(wanted) - set(names):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    if not has_h2load():
        parser.error("h2load is not installed: apt-get install nghttp2-client")
    found = asyncio.run(run(args.rounds, wanted, args.seconds))
    if args.json:
        print(json.dumps(found))
    else:
        print_table(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
