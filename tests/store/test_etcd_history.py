"""Bugs that etcd had, and that this store must not have; each is named by its issue.

15271 (a watch goes back in time after a snapshot's install) is in test_snapshot, 20221 (progress to a watch from the
future) and 15220 (progress before events) in test_watch.
"""

import asyncio
import random
import signal

import grpc
import pytest

from minik8s.kit.clock import SystemClock
from minik8s.store.errors import EtcdError
from minik8s.store.machine import Machine
from minik8s.store.mvcc import Mvcc
from minik8s.store.raft.disk import FileDisk
from minik8s.store.raft.node import RaftNode
from minik8s.store.service import Service, ServiceConfig
from minik8s.wire.etcd import rpc_pb2 as rpc
from store.raft.members import configs, until
from store.replicas import Replicas
from store.test_watch import World, events


class StuckDisk(FileDisk):
    """Writes, and does not say so until it is let."""

    def __init__(self, config) -> None:
        super().__init__(config)
        self.may_finish = asyncio.Event()
        self.may_finish.set()

    async def append(self, *group) -> None:
        await super().append(*group)
        await self.may_finish.wait()


def test_13766_14370_a_lone_member_acknowledges_nothing_before_its_disk_does(tmp_path):
    async def main() -> None:
        [config] = configs(tmp_path, ["s1"], secure=False).values()
        disk, machine = StuckDisk(config), Machine()
        node = RaftNode(config, machine, clock=SystemClock(), rng=random.Random(1), disk=disk)
        service = Service(ServiceConfig(1, 1), machine, node, clock=SystemClock(), rng=random.Random(1))
        running = asyncio.ensure_future(node.run())
        try:
            await until(lambda: node.is_leader)
            await service.put(rpc.PutRequest(key=b"a").SerializeToString())
            disk.may_finish.clear()
            put = asyncio.ensure_future(service.put(rpc.PutRequest(key=b"b").SerializeToString()))
            read = rpc.RangeRequest(key=b"b", serializable=True).SerializeToString()
            await asyncio.sleep(0.2)
            assert not put.done()
            assert rpc.RangeResponse.FromString(await service.range(read)).count == 0
            disk.may_finish.set()
            await asyncio.wait_for(put, 5)
            assert rpc.RangeResponse.FromString(await service.range(read)).count == 1
        finally:
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(20))
def test_17529_watchers_lose_no_event_to_compactions_that_happen_meanwhile(seed):
    rng = random.Random(seed)
    world = World()
    history: list[tuple[str, str, int]] = []
    seen: dict[int, list[tuple[str, str, int]]] = {}
    start: dict[int, int] = {}

    def collect() -> None:
        for response in world.take():
            if response.created:
                seen[response.watch_id] = []
            assert not response.canceled, "a watcher that keeps up was cancelled"
            seen[response.watch_id] += events([response])

    for step in range(300):
        draw = rng.random()
        key = rng.choice("abc")
        exists = world.mvcc.get(key.encode()) is not None
        if draw < 0.2 and exists:
            world.delete(key)
            history.append(("delete", key, world.mvcc.revision))
        else:
            world.put(key)
            history.append(("put", key, world.mvcc.revision))
        if draw > 0.9:
            collect()
            world.mvcc.compact(world.mvcc.revision)
        if step % 20 == 0:
            first = max(world.mvcc.compact_revision, 2)
            world.watch("a", "d", start_revision=first)
            start[len(start)] = first
    collect()
    for watch_id, first in start.items():
        assert seen[watch_id] == [event for event in history if event[2] >= first]


def test_18089_19179_a_deletion_at_the_compact_revision_is_seen_by_a_watch_from_there():
    world = World()
    world.put("a")
    world.delete("a")
    world.mvcc.compact(3)
    world.watch(start_revision=3)
    assert events(world.take()) == [("delete", "a", 3)]


def test_17780_a_revision_does_not_go_back_when_what_it_wrote_is_compacted_away():
    machine = Machine()
    mvcc: Mvcc = machine.space.mvcc
    mvcc.put(b"a", b"", 0)
    mvcc.commit()
    mvcc.delete(b"a")
    mvcc.commit()
    mvcc.compact(3)
    restarted = Machine()
    restarted.restore(machine.snapshot())
    assert restarted.space.mvcc.revision == 3
    with pytest.raises(EtcdError, match="compacted"):
        restarted.space.mvcc.range(b"a", b"", revision=2)


@pytest.mark.slow
def test_17780_nor_over_a_kill_after_the_compaction(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path, count=1) as replicas:
            await replicas.settled()
            await replicas.call("s0", "KV/Put", rpc.PutRequest(key=b"a"), rpc.PutResponse)
            deletion = rpc.DeleteRangeRequest(key=b"a")
            deleted = await replicas.call("s0", "KV/DeleteRange", deletion, rpc.DeleteRangeResponse)
            revision = deleted.header.revision
            compaction = rpc.CompactionRequest(revision=revision, physical=True)
            await replicas.call("s0", "KV/Compact", compaction, rpc.CompactionResponse)
            await replicas.end("s0")
            await replicas.start("s0")
            await replicas.settled()
            read = await replicas.call("s0", "KV/Range", rpc.RangeRequest(key=b"a"), rpc.RangeResponse)
            assert read.header.revision == revision

    asyncio.run(main())


@pytest.mark.slow
def test_20418_a_leader_that_was_paused_does_not_read_what_is_stale(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path) as replicas:
            await replicas.settled()
            paused = await replicas.leader()
            put = rpc.PutRequest(key=b"a", value=b"old")
            await replicas.call(paused, "KV/Put", put, rpc.PutResponse)
            replicas.signal(paused, signal.SIGSTOP)
            others = [name for name in replicas.names if name != paused]
            # Reads that reach the leader while it sleeps, and wait in its socket until it wakes.
            read = rpc.RangeRequest(key=b"a")
            reads = [
                asyncio.ensure_future(replicas.call(paused, "KV/Range", read, rpc.RangeResponse, 20)) for _ in range(20)
            ]
            put.value = b"new"
            async with asyncio.timeout(20):
                while True:
                    try:
                        await replicas.call(others[0], "KV/Put", put, rpc.PutResponse, 3)
                        break
                    except grpc.aio.AioRpcError:
                        await asyncio.sleep(0.1)
            later = asyncio.ensure_future(replicas.call(paused, "KV/Range", read, rpc.RangeResponse, 20))
            await asyncio.sleep(0.1)
            replicas.signal(paused, signal.SIGCONT)
            answers = await asyncio.gather(*reads, later, return_exceptions=True)
            # The early ones began before the write and may see either; the later one may fail, and see the new alone.
            assert {a.kvs[0].value for a in answers[:-1] if not isinstance(a, Exception)} <= {b"old", b"new"}
            if not isinstance(answers[-1], Exception):
                assert answers[-1].kvs[0].value == b"new"
            fresh = await replicas.call(paused, "KV/Range", read, rpc.RangeResponse)
            assert fresh.kvs[0].value == b"new"

    asyncio.run(main())
