"""Which endpoint a new connection goes to: in turn, or the one its client had before. No IO.

An endpoint that refused a connection is tried last for a moment, so that a program that has just died costs one
connection attempt rather than one of every n.
"""

from collections import OrderedDict
from collections.abc import Iterator

from minik8s.kit.clock import Clock
from minik8s.node.proxy.rules import Endpoint, Rule

CLIENTS_MAX = 10_000  # remembered per frontend for session affinity; the one longest unseen is forgotten
SHUN_S = 1.0


class Balancer:
    """One frontend's."""

    def __init__(self, rule: Rule, *, clock: Clock, start: int = 0) -> None:
        self.rule = rule
        self._clock = clock
        self._turn = start
        self._clients: OrderedDict[str, tuple[Endpoint, float]] = OrderedDict()
        self._shunned: dict[Endpoint, float] = {}

    def update(self, rule: Rule) -> None:
        """Take a new rule; what is remembered of endpoints that stay is kept."""
        self.rule = rule
        self._shunned = {endpoint: until for endpoint, until in self._shunned.items() if endpoint in rule.endpoints}

    def candidates(self, client_ip: str) -> Iterator[Endpoint]:
        """The endpoints to try, best first. Reads the rule as it is when asked."""
        endpoints, now_s = self.rule.endpoints, self._clock.monotonic_s()
        if not endpoints:
            return
        self._turn = (self._turn + 1) % len(endpoints)
        ordered = [*endpoints[self._turn :], *endpoints[: self._turn]]
        ordered.sort(key=lambda endpoint: self._shunned.get(endpoint, 0.0) > now_s)
        if self.rule.affinity_s and (kept := self._clients.get(client_ip)):
            endpoint, seen_s = kept
            if endpoint in ordered and now_s - seen_s < self.rule.affinity_s:
                ordered.remove(endpoint)
                ordered.insert(0, endpoint)
        yield from ordered

    def connected(self, client_ip: str, endpoint: Endpoint) -> None:
        """A connection was made."""
        self._shunned.pop(endpoint, None)
        if self.rule.affinity_s:
            self._clients.pop(client_ip, None)
            self._clients[client_ip] = (endpoint, self._clock.monotonic_s())
            if len(self._clients) > CLIENTS_MAX:
                self._clients.popitem(last=False)

    def refused(self, endpoint: Endpoint) -> None:
        """A connection could not be made."""
        self._shunned[endpoint] = self._clock.monotonic_s() + SHUN_S
