"""Stores that fail: whose answers get lost, or whose watch breaks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from minik8s.control.apiserver.storage import Store, StoreError

LOST_BEFORE = "before"  # the write never happened
LOST_AFTER = "after"  # the write happened, its answer was lost


class FaultyStore:
    """`store`, whose transactions numbered in `faults` (from 1) fail as it says; `between` runs before they do."""

    def __init__(self, store: Store, faults: dict[int, str], between: Callable[[], Any] | None = None) -> None:
        self._store = store
        self._faults = faults
        self._between = between
        self.txns = 0

    async def txn(self, request: Any) -> Any:
        self.txns += 1
        fault = self._faults.get(self.txns)
        if fault == LOST_BEFORE:
            raise StoreError("UNAVAILABLE", "etcdserver: request timed out")
        answer = await self._store.txn(request)
        if fault == LOST_AFTER:
            if self._between:
                await self._between()
            raise StoreError("UNAVAILABLE", "Socket closed")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class CuttableStore:
    """`store`, whose watches break at `cut()` and stay broken until `mend()`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._whole = asyncio.Event()
        self._broken = asyncio.Event()
        self._whole.set()

    def cut(self) -> None:
        self._whole.clear()
        self._broken.set()

    def mend(self) -> None:
        self._broken.clear()
        self._whole.set()

    def watch(self, request: Any) -> "_CuttableWatch":
        return _CuttableWatch(self._store.watch(request), self._whole, self._broken)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _CuttableWatch:
    def __init__(self, watch: Any, whole: asyncio.Event, broken: asyncio.Event) -> None:
        self._watch, self._whole, self._broken = watch, whole, broken

    async def __aiter__(self) -> AsyncIterator[Any]:
        if not self._whole.is_set():
            raise StoreError("UNAVAILABLE", "cut")
        messages = aiter(self._watch)
        broken = asyncio.ensure_future(self._broken.wait())
        message: asyncio.Future[Any] = broken
        try:
            while True:
                message = asyncio.ensure_future(anext(messages))
                await asyncio.wait({message, broken}, return_when=asyncio.FIRST_COMPLETED)
                if broken.done():
                    raise StoreError("UNAVAILABLE", "cut")
                yield message.result()
        finally:
            broken.cancel()
            message.cancel()
            await asyncio.gather(broken, message, return_exceptions=True)

    async def request_progress(self) -> None:
        await self._watch.request_progress()

    async def close(self) -> None:
        await self._watch.close()
