"""Pods that wait to be placed: ready ones by priority, the others until their back-off ends or something changes.

    add ──▶ ready ──pop──▶ (a cycle) ──failed──▶ waiting ──wake, or 5 minutes──▶ ready, but not before the back-off ends

A pod that found no node is tried again only when an event concerns a plugin that ruled nodes out (upstream: queueing
hints); the back-off doubles from 1 to 10 s. The queue holds each unplaced pod once: that is its limit.
"""

import asyncio
import heapq
from dataclasses import dataclass, field

from minik8s.kit.clock import Clock

_BACKOFF_FIRST_S = 1.0
_BACKOFF_MAX_S = 10.0
# Safety net, as upstream: should an event have been taken for irrelevant, the pod is tried again.
_WAIT_MAX_S = 300.0


@dataclass(slots=True)
class _Entry:
    priority: int = 0
    attempts: int = 0
    is_ready: bool = False
    plugins: frozenset[str] | None = None  # while waiting: who ruled nodes out; empty: there was no node
    not_before_s: float = 0.0
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class SchedulingQueue:
    """Keys of pods to place."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[int, int, str]] = []  # may hold keys that are not ready any more
        self._count = 0
        self._arrived = asyncio.Event()

    def add(self, key: str, priority: int = 0) -> None:
        """A pod is new, or has changed so that all tries before mean nothing."""
        self.delete(key)
        self._entries[key] = _Entry(priority)
        self._activate(key)

    def delete(self, key: str) -> None:
        """A pod is gone, or placed."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            _cancel(entry)

    async def pop(self) -> str:
        """The next pod; its caller says `failed`, `retry` or `delete`."""
        while True:
            while self._heap:
                _, _, key = heapq.heappop(self._heap)
                entry = self._entries.get(key)
                if entry is not None and entry.is_ready:
                    entry.is_ready = False
                    entry.attempts += 1
                    return key
            self._arrived.clear()
            await self._arrived.wait()

    def failed(self, key: str, plugins: frozenset[str]) -> None:
        """No node took the pod, because of `plugins`."""
        entry = self._entries.get(key)
        if entry is not None and not entry.is_ready:
            entry.plugins = plugins
            entry.not_before_s = self._clock.monotonic_s() + _backoff_s(entry.attempts)
            self._later(entry, key, _WAIT_MAX_S)

    def retry(self, key: str) -> None:
        """The try went wrong for a reason that is not the cluster's state."""
        entry = self._entries.get(key)
        if entry is not None and not entry.is_ready:
            self._later(entry, key, _backoff_s(entry.attempts))

    def wake(self, plugins: frozenset[str] | None = None) -> None:
        """Something changed that `plugins` look at; None: a new node, which concerns all."""
        for key, entry in self._entries.items():
            waits = entry.plugins is not None and not entry.is_ready
            if waits and (plugins is None or (entry.plugins or frozenset()) & plugins):
                self._later(entry, key, entry.not_before_s - self._clock.monotonic_s())

    def clear(self) -> None:
        """Forget everything."""
        for key in list(self._entries):
            self.delete(key)

    def __len__(self) -> int:
        """Pods that are not placed."""
        return len(self._entries)

    def _later(self, entry: _Entry, key: str, delay_s: float) -> None:
        if delay_s <= 0:
            self._activate(key)
        else:
            _cancel(entry)
            entry.timers.append(asyncio.get_running_loop().call_later(delay_s, self._activate, key))

    def _activate(self, key: str) -> None:
        entry = self._entries.get(key)
        if entry is None or entry.is_ready:
            return
        _cancel(entry)
        entry.is_ready, entry.plugins = True, None
        self._count += 1
        heapq.heappush(self._heap, (-entry.priority, self._count, key))
        self._arrived.set()


def _backoff_s(attempts: int) -> float:
    return min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2.0 ** min(attempts - 1, 16))


def _cancel(entry: _Entry) -> None:
    for timer in entry.timers:
        timer.cancel()
    entry.timers.clear()
