"""Leases end when they run out, not before, whoever leads; on a clock that the test moves."""

import asyncio
import random

import pytest

from minik8s.store import commands
from minik8s.store.consensus import Immediate
from minik8s.store.errors import LEASE_EXISTS, LEASE_NOT_FOUND, LEASE_TTL_TOO_LARGE, EtcdError
from minik8s.store.expiry import Expiry
from minik8s.store.lease import Lease
from minik8s.store.machine import Machine
from minik8s.store.service import Service, ServiceConfig
from minik8s.store.upkeep import Upkeep, UpkeepConfig
from minik8s.wire.etcd import rpc_pb2 as rpc


class HandClock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


class World:
    """One member whose upkeep runs on a beat of one pass of the loop."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.machine = Machine()
        self.consensus = Immediate(self.machine)
        self.service = Service(
            ServiceConfig(1, 1), self.machine, self.consensus, clock=self.clock, rng=random.Random(1)
        )
        self._upkeep = Upkeep(UpkeepConfig(beat_s=0), self.service, clock=self.clock)

    async def __aenter__(self) -> "World":
        self._task = asyncio.create_task(self._upkeep.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()

    async def pass_s(self, seconds: float) -> None:
        """Move the clock, and let the upkeep take note."""
        self.clock.at_s += seconds
        for _ in range(20):
            await asyncio.sleep(0)

    async def grant(self, lease_id: int, ttl_s: int) -> rpc.LeaseGrantResponse:
        return await self.service.lease_grant(rpc.LeaseGrantRequest(ID=lease_id, TTL=ttl_s))

    async def put(self, key: bytes, lease: int) -> None:
        await self.service.put(rpc.PutRequest(key=key, lease=lease).SerializeToString())

    async def renew(self, lease_id: int) -> int:
        return (await self.service.lease_keep_alive(rpc.LeaseKeepAliveRequest(ID=lease_id))).TTL

    async def remaining_s(self, lease_id: int) -> int:
        return (await self.service.lease_time_to_live(rpc.LeaseTimeToLiveRequest(ID=lease_id))).TTL

    def keys(self) -> list[bytes]:
        return [record.key for record in self.service.mvcc.range(b"\0", b"\0")[0]]


def test_a_lease_ends_after_its_time_with_its_keys_in_one_revision():
    async def main() -> None:
        async with World() as world:
            await world.grant(7, 10)
            for key in (b"b", b"a"):
                await world.put(key, 7)
            await world.put(b"c", 0)
            revision = world.service.mvcc.revision
            await world.pass_s(9.9)
            assert world.keys() == [b"a", b"b", b"c"]
            assert await world.remaining_s(7) == 0
            await world.pass_s(0.1)
            assert world.keys() == [b"c"]
            assert world.service.mvcc.revision == revision + 1
            assert [record.key for record in world.service.mvcc.batch(revision + 1)] == [b"a", b"b"]
            assert await world.remaining_s(7) == -1
            assert await world.renew(7) == 0

    asyncio.run(main())


def test_renewals_keep_a_lease():
    async def main() -> None:
        async with World() as world:
            await world.grant(7, 10)
            for _ in range(5):
                await world.pass_s(6)
                assert await world.renew(7) == 10
            assert await world.remaining_s(7) == 10
            await world.pass_s(10)
            assert await world.remaining_s(7) == -1

    asyncio.run(main())


def test_a_new_leader_lengthens_leases_and_never_shortens_them():
    async def main() -> None:
        async with World() as world:
            await world.grant(7, 10)
            await world.pass_s(9)
            world.consensus.term = 2
            await world.pass_s(0)
            assert await world.remaining_s(7) == 10
            await world.pass_s(9)
            assert await world.remaining_s(7) == 1

    asyncio.run(main())


def test_a_follower_ends_no_lease():
    async def main() -> None:
        async with World() as world:
            await world.grant(7, 10)
            world.consensus.is_leader = False
            await world.pass_s(60)
            assert world.service.machine.space.leases.find(7)
            assert await world.remaining_s(7) == -1, "but it does not promise what it cannot know"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("before", "is_void"),
    [
        (commands.LEASE_RENEW + rpc.LeaseKeepAliveRequest(ID=7).SerializeToString(), True),
        (commands.take_over(3), True),
        (commands.PUT + rpc.PutRequest(key=b"k").SerializeToString(), False),
    ],
)
def test_an_expiry_that_a_renewal_or_a_new_leader_overtook_is_void(before, is_void):
    machine = Machine()
    machine.apply(commands.take_over(2))
    machine.apply(commands.LEASE_GRANT + rpc.LeaseGrantRequest(ID=7, TTL=10).SerializeToString())
    machine.apply(before)
    machine.apply(commands.expire(commands.Expiration(term=2, lease_id=7, renewals=0)))
    assert (machine.space.leases.find(7) is not None) is is_void


def test_grants_are_clamped_named_and_refused_as_etcd_does():
    async def main() -> None:
        async with World() as world:
            assert (await world.grant(7, 0)).TTL == 2
            drawn = await world.grant(0, 60)
            assert drawn.ID > 0
            for lease_id, ttl_s, fault in [(7, 60, LEASE_EXISTS), (8, 9_000_000_001, LEASE_TTL_TOO_LARGE)]:
                with pytest.raises(EtcdError) as caught:
                    await world.grant(lease_id, ttl_s)
                assert caught.value.fault == fault
            with pytest.raises(EtcdError) as caught:
                await world.service.lease_revoke(rpc.LeaseRevokeRequest(ID=99))
            assert caught.value.fault == LEASE_NOT_FOUND

    asyncio.run(main())


def test_timers_name_what_ran_out_in_bounded_portions():
    clock = HandClock()
    expiry = Expiry(clock)
    for lease_id in range(10):
        expiry.lease_renewed(Lease(lease_id, ttl_s=lease_id + 1))
    assert expiry.run_out(100) == []
    clock.at_s += 5
    assert sorted(expiry.run_out(3)) == [0, 1, 2]
    assert sorted(expiry.run_out(100)) == [0, 1, 2, 3, 4], "named again until they have ended"
    expiry.lease_ended(0)
    expiry.lease_renewed(Lease(1, ttl_s=60))
    assert sorted(expiry.run_out(100)) == [2, 3, 4]
