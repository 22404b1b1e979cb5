"""A client transport between a component and the API that lags, loses and breaks as a seed decides."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request, Response, WatchEvent
from minik8s.client.transport import Transport, WatchStream


@dataclass(frozen=True)
class Faults:
    """How bad the way is: ratios, and seconds."""

    request_lost: float = 0.02
    reply_lost: float = 0.03
    late: float = 0.01  # the caller gives up, and the request arrives up to 2 s later
    broken: float = 0.005  # a watch, per event
    call_s: float = 0.02
    lag_s: float = 0.5


CALM = Faults(0, 0, 0, 0, 0.002, 0.01)


class FaultyTransport:
    """A Transport to `inner`. `faults` may be changed at any time; `cut` is the end of its process."""

    def __init__(self, inner: Transport, rng: random.Random, faults: Faults) -> None:
        self._inner = inner
        self._rng = rng
        self.faults = faults
        self._is_cut = False
        self._ghosts: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Let nothing through any more, as when the process was killed."""
        self._is_cut = True

    async def call(self, request: Request) -> Response:
        await asyncio.sleep(self._rng.uniform(0, self.faults.call_s))
        if self._is_cut:
            await asyncio.Event().wait()
        if self._rng.random() < self.faults.request_lost:
            raise errors.timeout("lost: the request")
        if request.verb not in ("get", "list") and self._rng.random() < self.faults.late:
            ghost = asyncio.ensure_future(self._arrive_late(request))
            self._ghosts.add(ghost)
            ghost.add_done_callback(self._ghosts.discard)
            raise errors.timeout("late: the request")
        response = await self._inner.call(request)
        await asyncio.sleep(self._rng.uniform(0, self.faults.call_s))
        if self._rng.random() < self.faults.reply_lost:
            raise errors.timeout("lost: the reply")
        return response

    async def watch(self, request: Request) -> "LaggingWatch":
        await asyncio.sleep(self._rng.uniform(0, self.faults.call_s))
        if self._is_cut:
            await asyncio.Event().wait()
        return LaggingWatch(self, await self._inner.watch(request))

    async def close(self) -> None:
        await self._inner.close()

    async def _arrive_late(self, request: Request) -> None:
        await asyncio.sleep(self._rng.uniform(0.05, 2.0))
        try:
            await self._inner.call(request)
        except StatusError:
            return  # nobody is there to be told


class LaggingWatch:
    """A WatchStream whose events come in order, and late."""

    def __init__(self, transport: FaultyTransport, inner: WatchStream) -> None:
        self._transport = transport
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[WatchEvent]:
        rng = self._transport._rng
        async for event in self._inner:
            await asyncio.sleep(rng.random() ** 4 * self._transport.faults.lag_s)
            if self._transport._is_cut:
                await asyncio.Event().wait()
            if rng.random() < self._transport.faults.broken:
                raise errors.timeout("broken: the watch")
            yield event

    async def request_progress(self) -> None:
        await self._inner.request_progress()

    async def close(self) -> None:
        await self._inner.close()
