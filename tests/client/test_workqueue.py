"""The work queue keeps client-go's promises; in virtual time."""

import asyncio
import random

from sim.store.virtual_loop import run

from minik8s.client.workqueue import WorkQueue


def queue() -> WorkQueue:
    return WorkQueue(random.Random(1), retry_first_s=1.0, retry_max_s=8.0)


def test_a_key_added_many_times_is_handed_out_once():
    async def main():
        keys = queue()
        for key in ("a", "b", "a", "a"):
            keys.add(key)
        assert [await keys.get(), await keys.get()] == ["a", "b"]
        assert len(keys) == 0

    run(main())


def test_a_key_added_while_it_is_worked_on_comes_back_after_done_and_not_before():
    async def main():
        keys = queue()
        keys.add("a")
        assert await keys.get() == "a"
        keys.add("a")
        keys.add("b")
        assert await keys.get() == "b"
        assert len(keys) == 0
        keys.done("a")
        assert await keys.get() == "a"

    run(main())


def test_the_earliest_of_several_delays_wins():
    async def main():
        keys, loop = queue(), asyncio.get_running_loop()
        keys.add_after("a", 5)
        keys.add_after("a", 2)
        keys.add_after("a", 9)
        assert await keys.get() == "a"
        assert loop.time() == 2
        keys.done("a")
        await asyncio.sleep(20)
        assert len(keys) == 0

    run(main())


def test_retries_back_off_up_to_a_limit_until_forgotten():
    async def main():
        keys = queue()
        delays = [keys.retry("a") for _ in range(6)]
        assert all(bound * 0.8 <= delay <= bound for delay, bound in zip(delays, (1, 2, 4, 8, 8, 8), strict=True))
        keys.forget("a")
        assert keys.retry("a") <= 1
        keys.close()

    run(main())


def test_no_two_workers_ever_have_the_same_key_and_none_is_lost():
    async def main():
        rng = random.Random(3)
        keys, held, seen = queue(), set(), {}

        async def work():
            while True:
                key = await keys.get()
                assert key not in held
                held.add(key)
                seen[key] = asyncio.get_running_loop().time()
                await asyncio.sleep(rng.random())
                held.discard(key)
                keys.done(key)

        workers = [asyncio.ensure_future(work()) for _ in range(4)]
        added = {}
        for _ in range(300):
            key = str(rng.randrange(12))
            added[key] = asyncio.get_running_loop().time()
            keys.add(key)
            await asyncio.sleep(rng.random() * 0.1)
        await asyncio.sleep(30)
        assert all(seen[key] >= at for key, at in added.items())
        for worker in workers:
            assert not worker.done()
            worker.cancel()

    run(main())


def test_a_getter_that_gives_up_takes_nothing_with_it():
    async def main():
        keys = queue()
        waiting = asyncio.ensure_future(keys.get())
        await asyncio.sleep(0)
        keys.add("a")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(1):
            assert await keys.get() == "a"

    run(main())
