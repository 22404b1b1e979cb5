"""Reads of the store that everybody who asks at the same time shares.

Used by `reads` for the store's revision, and by admission for the namespace of what is created. Nobody gets an answer
that was begun before they asked, so a shared read is as linearizable as one's own; under load one round trip serves
dozens of requests.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_KEYS_KEPT_MAX = 1000


class JoinedRead(Generic[T]):
    """One read at a time; who asks meanwhile shares the next."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._running: asyncio.Future[T] | None = None
        self._next: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The answer of a read that begins after this call. Raises what the read raises."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._run(self._running))
            self._next.add_done_callback(_seen)
        return await asyncio.shield(self._next)

    async def _run(self, before: asyncio.Future[T] | None) -> T:
        if before and not before.done():
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        return await self._read()


def _seen(future: asyncio.Future[T]) -> None:
    """Everybody may have stopped waiting before a failure: it is nobody's then."""
    if not future.cancelled():
        future.exception()


class JoinedReads(Generic[T]):
    """The same for many keys."""

    def __init__(self, read: Callable[[bytes], Awaitable[T]]) -> None:
        self._read = read
        self._reads: dict[bytes, JoinedRead[T]] = {}

    async def get(self, key: bytes) -> T:
        """The answer of a read of `key` that begins after this call. Raises what the read raises."""
        joined = self._reads.get(key)
        if joined is None:
            if len(self._reads) >= _KEYS_KEPT_MAX:
                self._reads.clear()  # Those under way end by themselves.
            joined = self._reads[key] = JoinedRead(functools.partial(self._read, key))
        return await joined.get()
