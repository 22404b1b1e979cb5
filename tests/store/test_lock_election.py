"""Lock and Election: turns in order, sessions that end, leaders seen."""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from minik8s.kit.clock import SystemClock
from minik8s.store.consensus import Immediate
from minik8s.store.election import Election
from minik8s.store.errors import EtcdError
from minik8s.store.lock import Lock
from minik8s.store.machine import Machine
from minik8s.store.service import Service, ServiceConfig
from minik8s.wire.etcd import election_pb2, lock_pb2
from minik8s.wire.etcd import rpc_pb2 as rpc


def service() -> Service:
    machine = Machine()
    return Service(ServiceConfig(1, 1), machine, Immediate(machine), clock=SystemClock(), rng=random.Random(1))


@asynccontextmanager
async def leased(store: Service, *leases: int):
    for lease in leases:
        await store.lease_grant(rpc.LeaseGrantRequest(ID=lease, TTL=60))
    async with asyncio.timeout(5):
        yield


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_a_lock_goes_to_those_who_wait_in_the_order_they_came():
    async def main() -> None:
        store = service()
        lock = Lock(store)
        async with leased(store, 1, 2, 3):
            first = await lock.lock(lock_pb2.LockRequest(name=b"l", lease=1))
            assert first.key == b"l/1"
            second, third = (asyncio.ensure_future(lock.lock(lock_pb2.LockRequest(name=b"l", lease=n))) for n in (2, 3))
            await settle()
            assert not second.done()
            await lock.unlock(lock_pb2.UnlockRequest(key=first.key))
            assert (await second).key == b"l/2"
            assert not third.done()
            await store.lease_revoke(rpc.LeaseRevokeRequest(ID=2))
            assert (await third).key == b"l/3"
            assert (await lock.lock(lock_pb2.LockRequest(name=b"l", lease=3))).key == b"l/3"

    asyncio.run(main())


def test_a_lock_without_a_lease_gets_one():
    async def main() -> None:
        store = service()
        answer = await Lock(store).lock(lock_pb2.LockRequest(name=b"l"))
        lease = store.mvcc.get(answer.key).lease
        assert answer.key == b"l/%x" % lease
        assert store.machine.space.leases.get(lease).ttl_s == 60

    asyncio.run(main())


def test_who_gives_up_waiting_leaves_the_line():
    async def main() -> None:
        store = service()
        lock = Lock(store)
        async with leased(store, 1, 2):
            await lock.lock(lock_pb2.LockRequest(name=b"l", lease=1))
            waiting = asyncio.ensure_future(lock.lock(lock_pb2.LockRequest(name=b"l", lease=2)))
            await settle()
            assert store.mvcc.get(b"l/2")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert store.mvcc.get(b"l/2") is None
            assert not store.streams

    asyncio.run(main())


def test_a_session_that_ends_while_waiting_is_told_so():
    async def main() -> None:
        store = service()
        lock = Lock(store)
        async with leased(store, 1, 2):
            await lock.lock(lock_pb2.LockRequest(name=b"l", lease=1))
            waiting = asyncio.ensure_future(lock.lock(lock_pb2.LockRequest(name=b"l", lease=2)))
            await settle()
            await store.lease_revoke(rpc.LeaseRevokeRequest(ID=2))
            with pytest.raises(EtcdError, match="session is expired"):
                await waiting

    asyncio.run(main())


def test_an_election_has_one_leader_that_observers_see():
    async def main() -> None:
        store = service()
        election = Election(store)
        name = election_pb2.LeaderRequest(name=b"e")
        async with leased(store, 1, 2):
            with pytest.raises(EtcdError, match="election: no leader"):
                await election.leader(name)
            seen = election.observe(name)
            first = (await election.campaign(election_pb2.CampaignRequest(name=b"e", lease=1, value=b"one"))).leader
            assert (first.name, first.key, first.lease) == (b"e", b"e/1", 1)
            assert (await anext(seen)).kv.value == b"one"
            candidacy = election_pb2.CampaignRequest(name=b"e", lease=2, value=b"two")
            second = asyncio.ensure_future(election.campaign(candidacy))
            await election.proclaim(election_pb2.ProclaimRequest(leader=first, value=b"still one"))
            assert (await anext(seen)).kv.value == b"still one"
            await election.resign(election_pb2.ResignRequest(leader=first))
            assert (await second).leader.key == b"e/2"
            assert (await anext(seen)).kv.value == b"two"
            assert (await election.leader(name)).kv.value == b"two"
            with pytest.raises(EtcdError, match="election: not leader"):
                await election.proclaim(election_pb2.ProclaimRequest(leader=first, value=b"x"))
            with pytest.raises(EtcdError, match='"leader" field must be provided'):
                await election.resign(election_pb2.ResignRequest())
            await seen.aclose()
            assert not store.streams

    asyncio.run(main())
