"""What every controller is given, and the shape every controller has.

A controller is a class with `name`, `watches()` as data, and `async reconcile(key, writes)`. Its constructor takes the
Context and asks it for the informers it reads; `manager` makes the queue, ties the watches to it, and runs it. Adding
one: a file here and a line in `ALL` of this package.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from minik8s.api.kind import Kind, T
from minik8s.client.client import Client
from minik8s.client.controller import Writes
from minik8s.client.events import EventRecorder
from minik8s.client.informer import Informer
from minik8s.client.leader import Timing
from minik8s.kit.clock import Clock

if TYPE_CHECKING:
    from minik8s.kit.jws import SigningKey


@dataclass(frozen=True, slots=True)
class Config:
    """Knobs of all controllers."""

    workers: int = 5  # concurrent keys per controller
    cluster_cidr: str = ""  # "": nodes get no podCIDR
    node_cidr_mask_size: int = 24
    node_monitor_grace_s: float = 40.0  # without a sign of life: a node is Unknown
    root_ca: str = ""  # PEM, for kube-root-ca.crt; "": it is not published
    account_key: "SigningKey | None" = None  # fills Secrets with ServiceAccounts' tokens; None: they stay empty
    leader_elect: bool = True
    timing: Timing = field(default_factory=Timing)  # of the Lease


@dataclass(frozen=True, slots=True)
class Watch:
    """Of which keys a change of an object of `kind` is news; asked about the object before and after the change."""

    kind: Kind[Any]
    keys: Callable[[Any], Iterable[str]]


class Controller(Protocol):
    """What `manager` runs."""

    name: str

    def watches(self) -> Iterable[Watch]:
        """What leads to a look at which keys."""

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        """Bring `key` closer to what it should be; when to look again, in seconds, if nothing happens before."""


def _not_running(*_: Any, **__: Any) -> Any:
    raise RuntimeError("the manager is not running")


class Context:
    """Shared by the controllers of one process."""

    def __init__(self, client: Client, *, config: Config, clock: Clock, rng: random.Random) -> None:
        self.client = client
        self.config = config
        self.clock = clock
        self.rng = rng
        self.events = EventRecorder(client, "minik8s-controllers", clock=clock)
        self._informers: dict[str, Informer[Any]] = {}
        # How a controller watches further kinds while it works, and lets go of them: set by `manager`.
        self.follow: Callable[[str, Watch], Informer[Any]] = _not_running
        self.unfollow: Callable[..., None] = _not_running  # (informer, *, is_gone)

    @property
    def informers(self) -> Mapping[str, Informer[Any]]:
        """By plural: all that controllers have asked for."""
        return self._informers

    def informer(self, kind: Kind[T]) -> Informer[T]:
        """The one informer of `kind` in this process, over all namespaces."""
        if kind.plural not in self._informers:
            self._informers[kind.plural] = self.new_informer(kind)
        return self._informers[kind.plural]

    def new_informer(self, kind: Kind[T]) -> Informer[T]:
        """One that nobody shares and nobody runs yet."""
        return Informer(self.client, kind, clock=self.clock, rng=self.rng)
