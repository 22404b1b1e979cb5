"""When to compact unasked, and to where: etcd's --auto-compaction-mode and -retention. Pure; `upkeep` acts on it.

periodic: keep at least `retention` seconds of history; compact as often, at most once an hour. revision: keep the last
`retention` revisions; look every five minutes. Only the leader compacts.
"""

from collections import deque
from dataclasses import dataclass

_PERIOD_MAX_S = 3600.0
_REVISION_INTERVAL_S = 300.0
_SAMPLES_PER_PERIOD = 10


@dataclass(frozen=True, slots=True)
class Retention:
    """How much history stays: seconds or revisions."""

    mode: str  # "periodic" or "revision"
    amount: float


class AutoCompaction:
    """Tell it time and revision regularly; it says when to compact."""

    def __init__(self, retention: Retention, *, now_s: float) -> None:
        self._retention = retention
        self._is_periodic = retention.mode == "periodic"
        self._interval_s = min(retention.amount, _PERIOD_MAX_S) if self._is_periodic else _REVISION_INTERVAL_S
        self._compacted_at_s = now_s
        self._seen: deque[tuple[float, int]] = deque()  # oldest first

    def due(self, now_s: float, revision: int) -> int | None:
        """The revision to compact at now, if any. It may be compacted already."""
        if not self._is_periodic:
            return self._if_interval_is_over(now_s, revision - int(self._retention.amount))
        if not self._seen or now_s - self._seen[-1][0] >= self._interval_s / _SAMPLES_PER_PERIOD:
            self._seen.append((now_s, revision))
        horizon_s = now_s - self._retention.amount
        while len(self._seen) > 1 and self._seen[1][0] <= horizon_s:
            self._seen.popleft()
        at_s, oldest = self._seen[0]
        return self._if_interval_is_over(now_s, oldest) if at_s <= horizon_s else None

    def _if_interval_is_over(self, now_s: float, revision: int) -> int | None:
        if now_s - self._compacted_at_s < self._interval_s:
            return None
        self._compacted_at_s = now_s
        return revision if revision > 0 else None
