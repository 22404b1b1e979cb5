"""Leader election: who may take a Lease, by table; candidates over a true API, in virtual time."""

import asyncio
import contextlib
import random

import pytest
from control.apiserver.harness import ADMIN, local_api
from sim.control.faulty import CALM, Faults, FaultyTransport
from sim.store.virtual_loop import run

from minik8s.api.coordination_v1 import LEASES, Lease, LeaseSpec
from minik8s.client.client import Client
from minik8s.client.leader import LeaderElection, Observation, Timing, may_take
from minik8s.kit.clock import LoopClock

TIMING = Timing(5.0, 3.0, 0.5)


@pytest.mark.parametrize(
    ("holder", "unchanged_s", "expected"),
    [("me", 0, True), ("", 0, True), (None, 0, True), ("you", 4.9, False), ("you", 5.0, True)],
)
def test_a_lease_is_taken_when_it_is_ours_free_or_seen_unchanged_for_its_duration(holder, unchanged_s, expected):
    lease = Lease(spec=LeaseSpec(holderIdentity=holder, leaseDurationSeconds=5))
    seen = Observation()
    seen.see(lease, 100.0)
    assert may_take(lease, seen, "me", 100.0 + unchanged_s) is expected


@pytest.mark.parametrize(
    ("timing", "word"),
    [
        (Timing(), None),
        (TIMING, None),
        (Timing(0.5, 0.3, 0.1), "one second"),
        (Timing(5, 5, 1), "renewDeadline"),
        (Timing(5, 2, 2), "retryPeriod"),
    ],
)
def test_timings_that_cannot_work_are_named(timing, word):
    assert (timing.fault() is None) if word is None else (word in timing.fault())


class Candidate:
    def __init__(self, api, name, rng, leading, faults=CALM):
        self.transport = FaultyTransport(api.as_user(ADMIN), rng, faults)
        self.name, self.leading = name, leading
        client = Client(self.transport, field_manager=name)
        self.election = LeaderElection(client, "x", identity=name, clock=LoopClock(), rng=rng, timing=TIMING)
        self.task = asyncio.ensure_future(self.election.run(self.lead))

    async def lead(self):
        self.leading.add(self.name)
        assert len(self.leading) == 1, self.leading
        try:
            await asyncio.Event().wait()
        finally:
            self.leading.discard(self.name)

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def leader(leading) -> float:
    started_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(30):
        while not leading:
            await asyncio.sleep(0.01)
    return asyncio.get_running_loop().time() - started_s


def test_a_leader_that_stops_hands_over_at_once_and_one_that_is_killed_after_the_duration():
    async def main():
        async with local_api(clock=LoopClock()) as api:
            rng, leading = random.Random(1), set()
            candidates = [Candidate(api, name, rng, leading) for name in "abc"]
            assert await leader(leading) < 0.2
            await asyncio.sleep(20)
            first = next(one for one in candidates if one.election.is_leader)
            await first.stop()
            assert await leader(leading) < 1
            await asyncio.sleep(3)
            second = next(one for one in candidates if one.election.is_leader)
            second.transport.cut()
            await second.stop()
            assert 2 < await leader(leading) < 6.5
            third = next(one for one in candidates if one.election.is_leader)
            lease = await Client(api.as_user(ADMIN), field_manager="t").get(LEASES, "x", namespace="kube-system")
            assert lease.spec.holderIdentity == third.name
            assert lease.spec.leaseTransitions == 3 - 1
            await third.stop()

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_there_are_never_two_leaders_whatever_the_connection_does(seed):
    async def main():
        async with local_api(clock=LoopClock(), seed=seed) as api:
            rng, leading = random.Random(seed), set()
            faults = Faults(request_lost=0.3, reply_lost=0.3, late=0, call_s=0.3)
            candidates = [Candidate(api, name, rng, leading, faults) for name in "abc"]
            for _ in range(100):
                await asyncio.sleep(1)
                assert not any(one.task.done() for one in candidates)
            for one in candidates:
                await one.stop()

    run(main())
