"""Maintenance: the quota and its alarm, hashes, what a member says of itself."""

import asyncio
import random

import pytest

from minik8s.kit.clock import SystemClock
from minik8s.store.consensus import Immediate
from minik8s.store.errors import EtcdError
from minik8s.store.machine import Machine
from minik8s.store.maintenance import Maintenance
from minik8s.store.service import Service, ServiceConfig
from minik8s.wire.etcd import rpc_pb2 as rpc

Action = rpc.AlarmRequest


def service(quota_bytes: int = 0) -> Service:
    machine = Machine()
    config = ServiceConfig(7, 1, quota_bytes=quota_bytes)
    return Service(config, machine, Immediate(machine), clock=SystemClock(), rng=random.Random(1))


async def put(store: Service, value: bytes = b"") -> None:
    await store.put(rpc.PutRequest(key=b"a", value=value).SerializeToString())


def test_a_full_quota_stops_what_adds_until_room_is_made_and_the_alarm_disarmed():
    async def main() -> None:
        store = service(quota_bytes=3000)
        maintenance = Maintenance(store)
        await put(store, b"x" * 1000)
        await put(store, b"x" * 1000)
        for _ in range(2):
            with pytest.raises(EtcdError, match="mvcc: database space exceeded"):
                await put(store, b"x" * 1000)
        raised = (await maintenance.alarm(Action())).alarms
        assert [(alarm.memberID, alarm.alarm) for alarm in raised] == [(7, rpc.NOSPACE)]
        status = await maintenance.status(rpc.StatusRequest())
        assert list(status.errors) == ["memberID:7 alarm:NOSPACE "]
        with pytest.raises(EtcdError, match="space exceeded"):
            await store.lease_grant(rpc.LeaseGrantRequest(TTL=5))
        await store.range(rpc.RangeRequest(key=b"a").SerializeToString())
        await store.delete_range(rpc.DeleteRangeRequest(key=b"a").SerializeToString())
        await store.compact(rpc.CompactionRequest(revision=4))
        with pytest.raises(EtcdError, match="space exceeded"):
            await put(store)
        await maintenance.alarm(Action(action=Action.DEACTIVATE, memberID=7, alarm=rpc.NOSPACE))
        await put(store, b"x" * 1000)
        assert not (await maintenance.alarm(Action())).alarms

    asyncio.run(main())


def test_a_corrupt_cluster_is_not_read_from():
    async def main() -> None:
        store = service()
        await Maintenance(store).alarm(Action(action=Action.ACTIVATE, memberID=7, alarm=rpc.CORRUPT))
        for serializable in (False, True):
            with pytest.raises(EtcdError, match="corrupt cluster"):
                await store.range(rpc.RangeRequest(key=b"a", serializable=serializable).SerializeToString())
        with pytest.raises(EtcdError, match="corrupt cluster"):
            await store.txn(b"")

    asyncio.run(main())


def test_hashes_tell_apart_what_differs():
    async def main() -> None:
        one, other = service(), service()
        hashes = []
        for store in (one, other):
            await put(store)
            await store.lease_grant(rpc.LeaseGrantRequest(ID=1, TTL=5))
            hashes.append((await Maintenance(store).hash(rpc.HashRequest())).hash)
        assert hashes[0] == hashes[1]
        await other.lease_grant(rpc.LeaseGrantRequest(ID=2, TTL=5))
        assert (await Maintenance(other).hash(rpc.HashRequest())).hash != hashes[0]
        await put(one)
        assert (await Maintenance(one).hash_kv(rpc.HashKVRequest(revision=2))).hash == (
            await Maintenance(other).hash_kv(rpc.HashKVRequest(revision=2))
        ).hash

    asyncio.run(main())
