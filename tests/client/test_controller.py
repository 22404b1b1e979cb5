"""The controller's barrier and its answers to failures, over a true API, in virtual time."""

import asyncio
import contextlib
import itertools
import random

import pytest
from control.apiserver.harness import ADMIN, local_api
from sim.control.faulty import Faults, FaultyTransport
from sim.store.virtual_loop import run

from minik8s.api import errors
from minik8s.api.core_v1 import CONFIGMAPS
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.client.controller import Controller
from minik8s.client.informer import Informer
from minik8s.client.workqueue import WorkQueue
from minik8s.kit.clock import LoopClock


@contextlib.asynccontextmanager
async def controller(reconcile, faults: Faults, *, seed: int = 1):
    """A controller of ConfigMaps; `reconcile(informer, key, writes)`."""
    async with local_api(clock=LoopClock(), seed=seed) as api:
        rng = random.Random(seed)
        client = Client(FaultyTransport(api.as_user(ADMIN), rng, faults), field_manager="test")
        informer = Informer(client, CONFIGMAPS, namespace="default", clock=LoopClock(), rng=rng)
        made = Controller(
            "test",
            lambda key, writes: reconcile(informer, key, writes),
            queue=WorkQueue(rng),
            client=client,
            informers={"configmaps": informer},
        )
        tasks = [asyncio.ensure_future(informer.run()), asyncio.ensure_future(made.run())]
        yield made, Client(api.as_user(ADMIN), field_manager="test")
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_reconcile_sees_what_the_one_before_wrote_even_if_its_answer_was_lost(seed):
    async def main():
        async def reconcile(informer, key, writes):
            if len(informer.items) < 5:
                await writes.create(CONFIGMAPS, {"metadata": {"generateName": "c-"}}, namespace="default")
                return 0.0
            return None

        faults = Faults(request_lost=0.1, reply_lost=0.2, late=0, broken=0.02, lag_s=2.0)
        async with controller(reconcile, faults, seed=seed) as (made, client):
            made.queue.add("k")
            await asyncio.sleep(120)
            assert len((await client.list(CONFIGMAPS, namespace="default")).items) == 5

    run(main())


def test_failures_are_retried_with_back_off_and_faults_of_our_own_are_counted():
    async def main():
        times: list[float] = []

        async def reconcile(informer, key, writes):
            times.append(asyncio.get_running_loop().time())
            if len(times) < 4:
                raise errors.service_unavailable("not now")
            if len(times) < 6:
                raise KeyError("a bug")
            return

        async with controller(reconcile, Faults(0, 0, 0, 0, 0, 0)) as (made, _):
            made.queue.add("k")
            await asyncio.sleep(60)
            assert len(times) == 6
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            assert gaps == sorted(gaps)
            assert made.faults == 2

    run(main())


def test_a_conflict_means_the_cache_is_behind_and_is_waited_for():
    async def main():
        seen: list[str] = []

        async def reconcile(informer, key, writes):
            found = informer.get(key)
            if found is None or (found.data or {}).get("v") == "done":
                return
            seen.append(found.metadata.resourceVersion)
            patch = {"metadata": {"resourceVersion": found.metadata.resourceVersion}, "data": {"v": "done"}}
            await writes.patch(CONFIGMAPS, "a", patch, namespace="default")
            return

        async with controller(reconcile, Faults(0, 0, 0, 0, 0.01, 5.0)) as (made, client):
            await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")
            await asyncio.sleep(20)
            for step in range(5):
                await client.patch(CONFIGMAPS, "a", {"data": {"step": str(step)}}, namespace="default")
                made.queue.add("default/a")
            await asyncio.sleep(60)
            assert (await client.get(CONFIGMAPS, "a", namespace="default")).data["v"] == "done"
            assert len(seen) == len(set(seen)), "tried again with what was refused"

    run(main())


def test_deleting_what_is_gone_is_no_failure():
    async def main():
        outcomes: list[object] = []

        async def reconcile(informer, key, writes):
            try:
                outcomes.append(await writes.delete(CONFIGMAPS, "nobody", namespace="default"))
            except StatusError as error:
                outcomes.append(error)

        async with controller(reconcile, Faults(0, 0, 0, 0, 0, 0)) as (made, _):
            made.queue.add("k")
            await asyncio.sleep(1)
            assert outcomes == [None]

    run(main())
