"""The lines that `up` prints while a cluster starts: what is reached, and when."""

import sys
from dataclasses import dataclass, field
from typing import TextIO

from minik8s.kit.clock import Clock, SystemClock


@dataclass(slots=True)
class Progress:
    """Phases with the time since the start and the time each took."""

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    clock: Clock = field(default_factory=SystemClock)
    _started_s: float = field(init=False)
    _last_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._started_s = self._last_s = self.clock.monotonic_s()

    @property
    def total_s(self) -> float:
        return self.clock.monotonic_s() - self._started_s

    def say(self, text: str) -> None:
        """A line without a time."""
        print(text, file=self.stream, flush=True)

    def reached(self, phase: str, detail: str = "") -> None:
        """A phase is over."""
        now_s = self.clock.monotonic_s()
        took_s, self._last_s = now_s - self._last_s, now_s
        self.say(f"  {now_s - self._started_s:6.2f} s  {phase:<22} +{took_s:.2f} s  {detail}".rstrip())
