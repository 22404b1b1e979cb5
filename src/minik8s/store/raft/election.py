"""When a member may stand for leader, and whom it supports: pure bookkeeping around PySyncObj's elections.

PySyncObj stands after a random timeout and votes for whoever asks first. Around that: a member that hears from a leader
supports nobody (stickiness), and a member stands only after a majority said it would vote for it (PreVote, Raft thesis
§9.6). So a member that was cut off or paused cannot depose a working leader, and short timeouts are safe.
"""

import random

from minik8s.kit.clock import Clock
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.roster import Configuration

# The first try after a leader is known to be gone comes within 50 to 300 ms (for a timeout of 1 s); each vain try
# doubles the range, so that rivals on slow disks draw apart.
_FIRST_TRY = 0.3
_SHORTEST = 1 / 6


class Elections:
    """One member's view."""

    def __init__(self, config: RaftConfig, clock: Clock, rng: random.Random) -> None:
        self._config = config
        self._clock = clock
        self._rng = rng
        self._heard_s: float | None = None
        self._vain_tries = 0
        self._round = 0
        self._round_term = 0
        self._supporters: set[str] = set()
        self._vote_term = 0
        self._voters: set[str] = set()

    def heard(self) -> None:
        """A message of the current leader came."""
        self._heard_s = self._clock.monotonic_s()
        self._vain_tries = 0

    def lost(self) -> None:
        """The leader is known to be gone: its connection ended."""
        self._heard_s = None

    @property
    def is_leader_fresh(self) -> bool:
        """Whether a leader was heard from within the shortest election timeout."""
        return self._heard_s is not None and self._clock.monotonic_s() - self._heard_s < self._config.election_timeout_s

    def timeout_s(self) -> float:
        """How long to wait before standing."""
        timeout_s = self._config.election_timeout_s
        if self.is_leader_fresh:
            return timeout_s * (1 + self._rng.random())
        longest_s = timeout_s * min(2.0, _FIRST_TRY * 2 ** min(self._vain_tries, 8))
        return longest_s * (_SHORTEST + (1 - _SHORTEST) * self._rng.random())

    def ask(self, term: int) -> int:
        """A round of PreVote in `term` begins: its number."""
        self._vain_tries += 1
        self._round += 1
        self._round_term = term
        self._supporters = {self._config.name}
        return self._round

    def support(self, peer: str, *, term: int, round_number: int, configuration: Configuration) -> bool:
        """A peer would vote for us; True when a majority would, once a round."""
        if round_number != self._round or term != self._round_term or configuration.is_majority(self._supporters):
            return False
        self._supporters.add(peer)
        return configuration.is_majority(self._supporters)

    def count_vote(self, peer: str, *, term: int) -> bool:
        """Whether this vote counts: PySyncObj would count a repeated one again."""
        if term != self._vote_term:
            self._vote_term = term
            self._voters = set()
        if peer in self._voters:
            return False
        self._voters.add(peer)
        return True
