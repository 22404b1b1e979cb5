"""Backups: what is written is read again; any damage is named with its place."""

import asyncio
import hashlib
import io
import random

import pytest

from minik8s.kit.clock import SystemClock
from minik8s.store import backup, commands
from minik8s.store.backup import BackupUnreadable
from minik8s.store.consensus import Immediate
from minik8s.store.machine import Machine
from minik8s.store.maintenance import Maintenance
from minik8s.store.service import Service, ServiceConfig
from minik8s.wire.etcd import rpc_pb2 as rpc


def machine(value: bytes = b"v") -> Machine:
    filled = Machine()
    filled.apply(commands.LEASE_GRANT + rpc.LeaseGrantRequest(ID=5, TTL=60).SerializeToString())
    for number in range(20):
        put = rpc.PutRequest(key=b"k%d" % (number % 7), value=value, lease=5 * (number % 2))
        filled.apply(commands.PUT + put.SerializeToString())
    filled.apply(commands.COMPACT + rpc.CompactionRequest(revision=9).SerializeToString())
    filled.apply(commands.take_over(12))
    filled.apply(commands.found_cluster(4))
    filled.apply(commands.PUBLISH + rpc.Member(ID=1, name="s1").SerializeToString())
    return filled


def test_a_backup_holds_the_whole_state_and_its_digest():
    data = b"".join(backup.pieces(machine()))
    assert data[-32:] == hashlib.sha256(data[:-32]).digest()
    restored = backup.read(io.BytesIO(data))
    assert b"".join(backup.pieces(restored)) == data
    told = backup.summary(restored, len(data))
    assert (told.revision, told.keys, told.size_bytes) == (21, 7, len(data))
    assert told.hash == machine().space.mvcc.hash_kv()[0]


def test_a_restored_cluster_is_a_new_one_whose_leases_still_end():
    restored = backup.read(io.BytesIO(b"".join(backup.pieces(machine()))))
    backup.for_new_cluster(restored)
    assert (restored.members, restored.cluster_id) == ({}, 0)
    restored.apply(commands.take_over(1))
    restored.apply(commands.expire(commands.Expiration(1, 5, 0)))
    assert not len(restored.space.leases)


def test_pieces_are_small_whatever_the_values():
    assert max(map(len, backup.pieces(machine(b"x" * 100_000)))) <= 32 << 10


def test_every_cut_and_every_flipped_bit_is_refused_by_its_place():
    data = b"".join(backup.pieces(machine()))
    for length in range(len(data)):
        with pytest.raises(BackupUnreadable, match="corrupt at byte") as caught:
            backup.read(io.BytesIO(data[:length]))
        assert caught.value.offset <= length
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 1 << position % 8
        with pytest.raises(BackupUnreadable, match="corrupt at byte"):
            backup.read(io.BytesIO(bytes(broken)))
    with pytest.raises(BackupUnreadable, match="more behind its end"):
        backup.read(io.BytesIO(data + b"x"))


def test_a_snapshot_is_of_one_moment_however_long_it_is_read():
    async def main() -> None:
        filled = machine(b"x" * 50_000)
        store = Service(ServiceConfig(1, 1), filled, Immediate(filled), clock=SystemClock(), rng=random.Random(1))
        expected = b"".join(backup.pieces(filled))
        responses = []
        async for response in Maintenance(store).snapshot(rpc.SnapshotRequest()):
            responses.append(response)
            await store.put(rpc.PutRequest(key=b"late").SerializeToString())
            await store.compact(rpc.CompactionRequest(revision=store.mvcc.revision))
        assert b"".join(response.blob for response in responses) == expected
        remaining = [response.remaining_bytes for response in responses]
        assert remaining == sorted(remaining, reverse=True)
        assert remaining[-1] == 0
        assert all(remaining[:-1])
        assert len(responses[-1].blob) == 32

    asyncio.run(main())
