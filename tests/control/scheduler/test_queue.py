"""The scheduling queue, in virtual time."""

import asyncio

from sim.store.virtual_loop import run

from minik8s.control.scheduler.queue import SchedulingQueue
from minik8s.kit.clock import LoopClock

FIT = frozenset({"NodeResourcesFit"})
AFFINITY = frozenset({"NodeAffinity"})


async def popped(queue, within_s=1000.0):
    """(key, when), or None."""
    try:
        async with asyncio.timeout(within_s):
            return await queue.pop(), asyncio.get_running_loop().time()
    except TimeoutError:
        return None


def test_higher_priority_first_then_first_come():
    async def main():
        queue = SchedulingQueue(LoopClock())
        for key, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
            queue.add(key, priority)
        assert [(await popped(queue))[0] for _ in range(4)] == ["b", "d", "a", "c"]

    run(main())


def test_a_pod_that_found_no_node_waits_for_an_event_that_concerns_it():
    async def main():
        queue = SchedulingQueue(LoopClock())
        queue.add("a")
        await queue.pop()
        queue.failed("a", FIT)
        await asyncio.sleep(20)
        queue.wake(AFFINITY)
        assert await popped(queue, 20) is None
        queue.wake(FIT)
        assert await popped(queue) == ("a", 40)

    run(main())


def test_a_wake_does_not_cut_the_back_off_short():
    async def main():
        queue = SchedulingQueue(LoopClock())
        queue.add("a")
        for expected_s in (1, 3, 7, 15, 25, 35):
            await queue.pop()
            queue.failed("a", FIT)
            queue.wake()
            queue.wake(FIT)
            assert await asyncio.wait_for(_peek(queue), 1000) == expected_s

    async def _peek(queue):
        while not queue._heap:
            await asyncio.sleep(0.5)
        return asyncio.get_running_loop().time()

    run(main())


def test_after_five_minutes_a_pod_is_tried_again_whatever_happened():
    async def main():
        queue = SchedulingQueue(LoopClock())
        queue.add("a")
        await queue.pop()
        queue.failed("a", FIT)
        assert await popped(queue) == ("a", 300)

    run(main())


def test_a_changed_pod_is_tried_at_once_and_a_deleted_one_never():
    async def main():
        queue = SchedulingQueue(LoopClock())
        queue.add("a")
        await queue.pop()
        queue.failed("a", FIT)
        queue.add("a")
        assert await popped(queue) == ("a", 0)
        queue.failed("a", FIT)
        queue.delete("a")
        queue.wake()
        assert await popped(queue) is None
        assert len(queue) == 0

    run(main())
