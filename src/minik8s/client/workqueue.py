"""A queue of keys to look at, with client-go's promises: no key is worked on twice at once, and none is lost.

Three sets make it so. `_dirty` holds the keys that need a look; `_processing` those being looked at; `_ready` the order
of those that are dirty and not processing. A key added while it is processed is only marked dirty and becomes ready
when its worker says `done`. Adding a key that is dirty already changes nothing, so the queue never holds more than one
entry per existing object: that is its limit, and it cannot be full.
"""

import asyncio
import random
from collections import OrderedDict

from minik8s.kit.backoff import Backoff


class WorkQueue:
    """Keys for workers: `key = await get()`, work, `done(key)`."""

    def __init__(self, rng: random.Random, *, retry_first_s: float = 0.05, retry_max_s: float = 30.0) -> None:
        self._rng = rng
        self._retry_first_s = retry_first_s
        self._retry_max_s = retry_max_s
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._dirty: set[str] = set()
        self._processing: set[str] = set()
        self._later: dict[str, asyncio.TimerHandle] = {}  # one per key: the earliest wanted
        self._failures: dict[str, Backoff] = {}
        self._getters: asyncio.Semaphore = asyncio.Semaphore(0)  # counts _ready

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return len(self._ready)

    def add(self, key: str) -> None:
        """Have `key` looked at."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: str, delay_s: float) -> None:
        """Have `key` looked at in `delay_s`, or earlier if something else asks earlier."""
        if delay_s <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        planned = self._later.get(key)
        if planned is not None:
            if planned.when() <= loop.time() + delay_s:
                return
            planned.cancel()
        self._later[key] = loop.call_later(delay_s, self._due, key)

    def retry(self, key: str) -> float:
        """Have `key` looked at after its own exponential back-off; the delay in seconds."""
        backoff = self._failures.get(key)
        if backoff is None:
            backoff = Backoff(self._rng, first_s=self._retry_first_s, max_s=self._retry_max_s, jitter=0.2)
            self._failures[key] = backoff
        delay_s = backoff.next_s()
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: str) -> None:
        """The key's work went well: its next failure starts the back-off anew."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key; it is the caller's until `done`."""
        await self._getters.acquire()
        key, _ = self._ready.popitem(last=False)
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: str) -> None:
        """The caller has finished with `key`, well or not."""
        self._processing.discard(key)
        if key in self._dirty:
            self._push(key)

    def close(self) -> None:
        """Drop what was planned for later. The queue can be used again."""
        for handle in self._later.values():
            handle.cancel()
        self._later.clear()

    def _due(self, key: str) -> None:
        self._later.pop(key, None)
        self.add(key)

    def _push(self, key: str) -> None:
        assert key not in self._ready
        self._ready[key] = None
        self._getters.release()
