"""How long a container that ends must wait before it is started again: the back-off behind CrashLoopBackOff. Pure.

As upstream: the first restart comes at once, the next after 10 s, 20 s, … 5 min, counted from the container's end; a
container that stays up for twice the longest delay starts over.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CrashLoopPolicy:
    """The delays of a node."""

    first_s: float = 10.0
    max_s: float = 300.0


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """One container's restarts so far."""

    delay_s: float
    restarted_at_s: float

    def _is_over(self, at_s: float, policy: CrashLoopPolicy) -> bool:
        return at_s - self.restarted_at_s > 2 * policy.max_s


def eligible_at_s(loop: CrashLoop | None, ended_at_s: float, policy: CrashLoopPolicy) -> float:
    """When a container that ended at `ended_at_s` may be started again."""
    if loop is None or loop._is_over(ended_at_s, policy):
        return ended_at_s
    return ended_at_s + loop.delay_s


def after_restart(loop: CrashLoop | None, ended_at_s: float, now_s: float, policy: CrashLoopPolicy) -> CrashLoop:
    """The record once the container has been started again."""
    if loop is None or loop._is_over(ended_at_s, policy):
        return CrashLoop(policy.first_s, now_s)
    return CrashLoop(min(loop.delay_s * 2, policy.max_s), now_s)
