"""How many requests are worked on at a time: two limits, of reads and of writes, as kube-apiserver's filter.

Called by `calls`. Watches, logs and other long requests do not count. A request beyond the limit is told at once to
come back (429, Retry-After 1); administrators (system:masters) always get an answer, as upstream.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from minik8s.api.errors import StatusError
from minik8s.control.apiserver.authn import User

READ_VERBS = frozenset({"get", "list", "watch", "head", "options"})
RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class InFlightConfig:
    """The limits; 0 is none. The defaults are kube-apiserver's."""

    read_only_max: int = 400
    mutating_max: int = 200


class InFlight:
    """The requests worked on now."""

    def __init__(self, config: InFlightConfig) -> None:
        self._limits = {"readOnly": config.read_only_max, "mutating": config.mutating_max}
        self.counts = {"readOnly": 0, "mutating": 0}

    @contextlib.contextmanager
    def admitted(self, user: User, verb: str) -> Iterator[None]:
        """Count a request within the block. Raises StatusError TooManyRequests."""
        kind = "readOnly" if verb in READ_VERBS else "mutating"
        limit = self._limits[kind]
        if limit and self.counts[kind] >= limit and not user.is_in("system:masters"):
            raise too_many_requests()
        self.counts[kind] += 1
        try:
            yield
        finally:
            self.counts[kind] -= 1

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def too_many_requests() -> StatusError:
    """429 in upstream's words."""
    return StatusError("TooManyRequests", "Too many requests, please try again later.", retry_after_s=RETRY_AFTER_S)
