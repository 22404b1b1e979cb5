"""Events: said once, counted after, never more than their budget; in virtual time."""

import asyncio
import random

from control.apiserver.harness import ADMIN, local_api
from sim.control.faulty import Faults, FaultyTransport
from sim.store.virtual_loop import run

from minik8s.api.core_v1 import CONFIGMAPS, EVENTS
from minik8s.client.client import Client
from minik8s.client.events import NORMAL, QUEUE_MAX, WARNING, EventRecorder
from minik8s.kit.clock import LoopClock


async def _about(client):
    return await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")


def test_the_same_note_again_raises_a_count_and_another_is_another_event():
    async def main():
        async with local_api(clock=LoopClock()) as api:
            client = Client(api.as_user(ADMIN), field_manager="test")
            recorder = EventRecorder(client, "me", clock=LoopClock())
            task = asyncio.ensure_future(recorder.run())
            obj = await _about(client)
            for _ in range(3):
                recorder.event(obj, NORMAL, "Scheduled", "here")
            recorder.event(obj, WARNING, "Failed", "there", component="other")
            await asyncio.sleep(1)
            found = {one.reason: one for one in (await client.list(EVENTS, namespace="default")).items}
            assert {reason: one.count for reason, one in found.items()} == {"Scheduled": 3, "Failed": 1}
            assert found["Failed"].source.component == "other"
            assert found["Scheduled"].involvedObject.uid == obj.metadata.uid
            assert found["Scheduled"].type == "Normal"
            task.cancel()

    run(main())


def test_an_object_has_a_budget_and_a_full_queue_drops():
    async def main():
        async with local_api(clock=LoopClock()) as api:
            client = Client(api.as_user(ADMIN), field_manager="test")
            recorder = EventRecorder(client, "me", clock=LoopClock())
            obj = await _about(client)
            for number in range(QUEUE_MAX + 10):
                recorder.event(obj, NORMAL, "Busy", str(number))
            assert recorder.dropped == 10
            task = asyncio.ensure_future(recorder.run())
            await asyncio.sleep(1)
            assert len((await client.list(EVENTS, namespace="default")).items) == 25
            await asyncio.sleep(301)
            recorder.event(obj, NORMAL, "Busy", "again")
            await asyncio.sleep(1)
            assert len((await client.list(EVENTS, namespace="default")).items) == 26
            task.cancel()

    run(main())


def test_what_cannot_be_written_is_given_up_and_the_rest_goes_on():
    async def main():
        async with local_api(clock=LoopClock()) as api:
            client = Client(api.as_user(ADMIN), field_manager="test")
            lost = FaultyTransport(api.as_user(ADMIN), random.Random(1), Faults(request_lost=0.5, reply_lost=0, late=0))
            recorder = EventRecorder(Client(lost, field_manager="test"), "me", clock=LoopClock())
            task = asyncio.ensure_future(recorder.run())
            obj = await _about(client)
            for number in range(20):
                recorder.event(obj, NORMAL, "Busy", str(number))
            await asyncio.sleep(5)
            assert 3 < len((await client.list(EVENTS, namespace="default")).items) < 17
            assert not task.done()
            task.cancel()

    run(main())
