"""One Raft member: recovers its log, elects, replicates, applies. (Skeleton: the interface stands, the body follows.)"""

import random
from collections.abc import Callable
from typing import Any, Protocol

from minik8s.kit.clock import Clock
from minik8s.store.raft.config import RaftConfig


class StateMachine(Protocol):
    """What the log drives."""

    def apply(self, command: bytes) -> Any:
        """Total and deterministic; the result is handed to the proposer on the member that proposed."""


class RaftNode:
    """Built without side effects; `run` until cancelled."""

    def __init__(self, config: RaftConfig, machine: StateMachine, *, clock: Clock, rng: random.Random) -> None:
        self.config = config
        self.name = config.name

    async def run(self) -> None:
        raise NotImplementedError

    async def propose(self, command: bytes) -> Any:
        raise NotImplementedError

    async def read_index(self) -> None:
        raise NotImplementedError

    @property
    def term(self) -> int:
        raise NotImplementedError

    @property
    def leader(self) -> str | None:
        raise NotImplementedError

    @property
    def is_leader(self) -> bool:
        raise NotImplementedError

    @property
    def applied_index(self) -> int:
        raise NotImplementedError

    @property
    def last_index(self) -> int:
        raise NotImplementedError

    @property
    def members(self) -> tuple[str, ...]:
        return self.config.members

    def on_leadership(self, callback: Callable[[bool, int], None]) -> None:
        raise NotImplementedError
