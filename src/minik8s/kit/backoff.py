"""Exponential back-off with jitter: pure arithmetic, the caller sleeps."""

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays first_s, first_s·factor, … up to max_s, each shortened by up to `jitter` of itself."""

    rng: random.Random
    first_s: float = 0.05
    max_s: float = 5.0
    factor: float = 2.0
    jitter: float = 0.5
    attempts: int = 0

    def next_s(self) -> float:
        """The delay before the next attempt."""
        # The exponent is bounded, as a float overflows at about 2**1024.
        delay_s = min(self.max_s, self.first_s * self.factor ** min(self.attempts, 64))
        self.attempts += 1
        return delay_s * (1 - self.jitter * self.rng.random())

    def reset(self) -> None:
        """Start over after a success."""
        self.attempts = 0
