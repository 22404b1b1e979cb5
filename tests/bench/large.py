"""A store with many keys: memory per key, the time of a snapshot and of a start, and puts while a snapshot is taken.

scripts/bench store --keys 1000000
"""

import asyncio
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from chaos.cluster import Cluster

from minik8s.wire.etcd import rpc_pb2 as rpc

VALUE_BYTES = 256
_KEYS_PER_TXN = 100
_LOADERS = 4
_QUIET_S = 5.0
_SNAPSHOT_COUNT = 1000  # entries: the puts that are measured bring on Raft's own snapshot
_TOOK = re.compile(r"took a snapshot .*size_bytes=(\d+) took_s=([\d.]+)")


async def measure(keys: int, *, members: int = 1) -> dict[str, Any]:
    """Figures of one member, as scripts/bench prints them."""
    with tempfile.TemporaryDirectory(prefix="minik8s-bench-large-") as directory:
        flags = ("--quota-backend-bytes=8589934592", f"--snapshot-count={_SNAPSHOT_COUNT}")
        async with Cluster(Path(directory), size=members, flags=flags) as cluster:
            await cluster.settled(120)
            name = await cluster.leader()
            empty_bytes = memory_bytes(cluster.processes[name].pid)
            begun_s = time.monotonic()
            await _fill(cluster, name, keys)
            load_s = time.monotonic() - begun_s
            await asyncio.sleep(2)
            full_bytes = memory_bytes(cluster.processes[name].pid)
            quiet = await _puts(cluster, name, asyncio.ensure_future(asyncio.sleep(_QUIET_S)))
            begun_s = time.monotonic()
            snapshot = asyncio.ensure_future(_snapshot(cluster, name))
            during = await _puts(cluster, name, snapshot)
            snapshot_s = time.monotonic() - begun_s
            own = asyncio.ensure_future(_raft_snapshot(Path(directory) / f"{name}.log"))
            during_own = await _puts(cluster, name, own)
            own_bytes, own_s = own.result()
            peak_bytes = memory_bytes(cluster.processes[name].pid)
            await cluster.end(name)
            begun_s = time.monotonic()
            await cluster.start(name)
            await cluster.settled(300)
            start_s = time.monotonic() - begun_s
            count = await cluster.call(
                name,
                "KV/Range",
                rpc.RangeRequest(key=b"large/", range_end=b"large0", count_only=True),
                rpc.RangeResponse,
            )
            assert count.count == keys, f"{count.count} keys after the start, {keys} before"
            return {
                "keys": keys,
                "value_bytes": VALUE_BYTES,
                "members": members,
                "load_s": round(load_s, 1),
                "memory_bytes_per_key": round((full_bytes - empty_bytes) / keys),
                "memory_mb": {"full": full_bytes >> 20, "after_snapshot": peak_bytes >> 20},
                "snapshot_s": round(snapshot_s, 2),
                "snapshot_mb": snapshot.result() >> 20,
                "raft_snapshot_s": own_s,
                "raft_snapshot_mb": own_bytes >> 20,
                "put_p99_ms": {
                    "quiet": round(quiet, 2),
                    "during_snapshot": round(during, 2),
                    "during_raft_snapshot": round(during_own, 2),
                },
                "start_up_s": round(start_s, 2),
            }


async def _fill(cluster: Cluster, name: str, keys: int) -> None:
    """All keys, by transactions of many puts."""
    firsts = iter(range(0, keys, _KEYS_PER_TXN))

    async def load() -> None:
        for first in firsts:
            puts = [
                rpc.PutRequest(key=b"large/%012d" % number, value=(b"%d-" % number).ljust(VALUE_BYTES, b"x"))
                for number in range(first, min(first + _KEYS_PER_TXN, keys))
            ]
            request = rpc.TxnRequest(success=[rpc.RequestOp(request_put=put) for put in puts])
            await cluster.call(name, "KV/Txn", request, rpc.TxnResponse, 60)

    await asyncio.gather(*(load() for _ in range(_LOADERS)))


async def _puts(cluster: Cluster, name: str, until: "asyncio.Future[Any]") -> float:
    """The p99, in milliseconds, of single puts made one after the other by two clients until `until` is done."""
    latencies: list[float] = []

    async def client(number: int) -> None:
        while not until.done():
            begun_s = time.monotonic()
            await cluster.call(
                name, "KV/Put", rpc.PutRequest(key=b"small/%d" % number, value=b"x"), rpc.PutResponse, 60
            )
            latencies.append(time.monotonic() - begun_s)
            await asyncio.sleep(0.002)

    await asyncio.gather(client(1), client(2))
    await until
    return sorted(latencies)[int(len(latencies) * 0.99)] * 1000


async def _snapshot(cluster: Cluster, name: str) -> int:
    """Read a backup to its end; its size."""
    call = cluster.channel(name).unary_stream(
        "/etcdserverpb.Maintenance/Snapshot", lambda m: m.SerializeToString(), rpc.SnapshotResponse.FromString
    )
    return sum([len(response.blob) async for response in call(rpc.SnapshotRequest())])


async def _raft_snapshot(log: Path) -> tuple[int, float]:
    """Wait for the second one from now on, as the first may be under way; its size and how long it took."""
    known = len(_TOOK.findall(log.read_text()))
    while len(found := _TOOK.findall(log.read_text())) < known + 2:
        await asyncio.sleep(0.05)
    return int(found[known + 1][0]), float(found[known + 1][1])


def memory_bytes(pid: int) -> int:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
