"""A new member with much to learn: how long it takes, and what writers feel meanwhile.

scripts/bench store --catch-up-mb 1024
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from store.replicas import Replicas

from bench.large import memory_bytes
from minik8s.wire.etcd import rpc_pb2 as rpc

_VALUE_BYTES = 1024
_KEYS_PER_TXN = 100
_LOADERS = 4
_QUIET_S = 5.0


async def measure(megabytes: int) -> dict[str, Any]:
    """Figures of a leader and of one that joins it, over TLS."""
    with tempfile.TemporaryDirectory(prefix="minik8s-bench-catch-up-") as directory:
        async with Replicas(Path(directory), 1) as replicas:
            await replicas.settled()
            await _fill(replicas, megabytes * 1024)
            quiet = await _puts(replicas, asyncio.ensure_future(asyncio.sleep(_QUIET_S)))
            url = replicas.prepare("s1").replace("://", "://s1@")
            request = rpc.MemberAddRequest(peerURLs=[url], isLearner=True)
            added = await replicas.call("s0", "Cluster/MemberAdd", request, rpc.MemberAddResponse)
            begun_s = time.monotonic()
            await replicas.start("s1")
            during = await _puts(replicas, asyncio.ensure_future(_caught_up(replicas)))
            took_s = time.monotonic() - begun_s
            promote = rpc.MemberPromoteRequest(ID=added.member.ID)
            await replicas.call("s0", "Cluster/MemberPromote", promote, rpc.MemberPromoteResponse)
            counts = {name: await _count(replicas, name) for name in ("s0", "s1")}
            assert counts["s0"] == counts["s1"], counts
            return {
                "state_mb": megabytes,
                "catch_up_s": round(took_s, 1),
                "put_ms": {"quiet": quiet, "during": during},
                "leader_mb": memory_bytes(replicas.pid("s0")) >> 20,
                "joined_mb": memory_bytes(replicas.pid("s1")) >> 20,
            }


async def _fill(replicas: Replicas, keys: int) -> None:
    firsts = iter(range(0, keys, _KEYS_PER_TXN))

    async def load() -> None:
        for first in firsts:
            puts = [
                rpc.RequestOp(request_put=rpc.PutRequest(key=b"large/%012d" % number, value=b"x" * _VALUE_BYTES))
                for number in range(first, min(first + _KEYS_PER_TXN, keys))
            ]
            await replicas.call("s0", "KV/Txn", rpc.TxnRequest(success=puts), rpc.TxnResponse, 60)

    await asyncio.gather(*(load() for _ in range(_LOADERS)))


async def _puts(replicas: Replicas, until: "asyncio.Future[Any]") -> dict[str, float]:
    """Single puts by two clients until `until` is done: what they took, in milliseconds."""
    latencies: list[float] = []

    async def client(number: int) -> None:
        while not until.done():
            begun_s = time.monotonic()
            request = rpc.PutRequest(key=b"small/%d" % number, value=b"x")
            await replicas.call("s0", "KV/Put", request, rpc.PutResponse, 60)
            latencies.append(time.monotonic() - begun_s)
            await asyncio.sleep(0.002)

    await asyncio.gather(client(1), client(2))
    await until
    latencies.sort()
    return {
        "p50": round(latencies[len(latencies) // 2] * 1000, 2),
        "p99": round(latencies[int(len(latencies) * 0.99)] * 1000, 2),
        "max": round(latencies[-1] * 1000, 1),
        "count": len(latencies),
    }


async def _caught_up(replicas: Replicas) -> None:
    """Wait until the new member has what the leader had a moment ago."""
    while True:
        leader, joined = await replicas.status("s0"), await replicas.status("s1")
        if leader and joined and joined.header.revision >= leader.header.revision:
            return
        await asyncio.sleep(0.1)


async def _count(replicas: Replicas, name: str) -> int:
    request = rpc.RangeRequest(key=b"\0", range_end=b"\0", count_only=True)
    return int((await replicas.call(name, "KV/Range", request, rpc.RangeResponse, 60)).count)
