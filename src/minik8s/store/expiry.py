"""When leases run out: timers on this member's monotonic clock. An observer of the machine, outside replicated state.

Every member keeps the timers (any may be asked how long a lease still lives), counted from the moment it applied the
grant or the renewal; only the leader acts on them (`upkeep`). A new leader starts them all anew, through the log, so
a change of leader lengthens a lease and never shortens it.
"""

import heapq

from minik8s.kit.clock import Clock
from minik8s.store.lease import Lease


class Expiry:
    """Deadlines of leases."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadlines: dict[int, float] = {}
        # One entry per lease, perhaps too early; it is corrected when it comes up.
        self._queue: list[tuple[float, int]] = []

    def remaining_s(self, lease_id: int) -> float:
        """Below zero for a lease that has run out and is not revoked yet; the lease must exist."""
        return self._deadlines[lease_id] - self._clock.monotonic_s()

    def run_out(self, count_max: int) -> list[int]:
        """Up to `count_max` leases whose time is over. They are named again next time unless they have ended."""
        now_s = self._clock.monotonic_s()
        found: list[int] = []
        while self._queue and self._queue[0][0] <= now_s and len(found) < count_max:
            _, lease_id = heapq.heappop(self._queue)
            deadline_s = self._deadlines.get(lease_id)
            if deadline_s is None:
                continue
            if deadline_s <= now_s:
                found.append(lease_id)
            else:
                heapq.heappush(self._queue, (deadline_s, lease_id))
        for lease_id in found:
            heapq.heappush(self._queue, (self._deadlines[lease_id], lease_id))
        return found

    def revision_committed(self, revision: int) -> None:
        """Revisions do not matter to leases."""

    def lease_renewed(self, lease: Lease) -> None:
        deadline_s = self._clock.monotonic_s() + lease.ttl_s
        if lease.id not in self._deadlines:
            heapq.heappush(self._queue, (deadline_s, lease.id))
        self._deadlines[lease.id] = deadline_s

    def lease_ended(self, lease_id: int) -> None:
        del self._deadlines[lease_id]

    def state_restored(self, revision_before: int) -> None:
        """Each lease was told of."""
