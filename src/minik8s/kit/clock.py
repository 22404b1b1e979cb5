"""Time as a value that is handed in, so that a test or the simulator can own it.

Waiting is `asyncio.sleep` everywhere: a virtual-time event loop moves it, and LoopClock reads the same loop.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Reads the time; never waits."""

    def now_s(self) -> float:
        """Wall-clock time in seconds since the Unix epoch."""

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start, never going back."""


class SystemClock:
    """The machine's clock."""

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


class LoopClock:
    """The running event loop's clock: virtual where the loop's time is virtual."""

    def __init__(self, epoch_s: float = 1_700_000_000.0) -> None:
        self._epoch_s = epoch_s

    def now_s(self) -> float:
        return self._epoch_s + asyncio.get_running_loop().time()

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()


def timestamp(clock: Clock) -> str:
    """The time as Kubernetes writes metav1.Time: `2026-11-20T18:33:03Z`, whole seconds."""
    return datetime.fromtimestamp(clock.now_s(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(clock: Clock) -> str:
    """The time as Kubernetes writes metav1.MicroTime: `2026-11-20T18:33:03.123456Z`."""
    return datetime.fromtimestamp(clock.now_s(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
