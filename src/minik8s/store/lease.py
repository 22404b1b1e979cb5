"""Leases as every member knows them: which exist, and which keys hang on them. Pure, part of the replicated state.

How long one still lives is not here: no clock may touch replicated state. `expiry` keeps the timers and proposes the
end of a lease, naming what it saw (the term of its leadership, the lease's renewals); a renewal or a change of leader
that was ordered before makes that proposal void. So a lease never ends before its TTL after its last renewal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from minik8s.store.errors import LEASE_EXISTS, LEASE_NOT_FOUND, EtcdError


@dataclass(slots=True)
class Lease:
    """A grant of `ttl_s` seconds, counted from the last renewal."""

    id: int
    ttl_s: int
    renewals: int = 0
    keys: set[bytes] = field(default_factory=set)


class Leases:
    """All leases of the store."""

    def __init__(self) -> None:
        self.term = 0
        """The last term whose leader took over the timers; it alone may end leases."""
        self._leases: dict[int, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._leases.values())

    def find(self, lease_id: int) -> Lease | None:
        """None if it was never granted or has ended."""
        return self._leases.get(lease_id)

    def get(self, lease_id: int) -> Lease:
        """Raises EtcdError if there is no such lease."""
        lease = self._leases.get(lease_id)
        if lease is None:
            raise EtcdError(LEASE_NOT_FOUND)
        return lease

    def grant(self, lease_id: int, ttl_s: int) -> Lease:
        """Raises EtcdError if the id is taken."""
        if lease_id in self._leases:
            raise EtcdError(LEASE_EXISTS)
        lease = self._leases[lease_id] = Lease(lease_id, ttl_s)
        return lease

    def restore(self, lease_id: int, ttl_s: int, renewals: int) -> None:
        """A lease from a snapshot; its keys are told by `move`."""
        self._leases[lease_id] = Lease(lease_id, ttl_s, renewals)

    def remove(self, lease_id: int) -> None:
        """Forget a lease whose keys are gone."""
        del self._leases[lease_id]

    def move(self, key: bytes, *, old: int, new: int) -> None:
        """A key's new version hangs on lease `new` instead of `old` (0: none)."""
        if old and old != new and (lease := self._leases.get(old)):
            lease.keys.discard(key)
        if new and (lease := self._leases.get(new)):
            lease.keys.add(key)
