"""Cores on links that the test delivers by hand: no loop, no sockets, a clock that stands still until moved."""

import random
from collections import defaultdict
from pathlib import Path

from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.core import make_core
from minik8s.store.raft.election import Elections
from minik8s.store.raft.gate import Gate
from minik8s.store.raft.journal import Journal
from minik8s.store.raft.messages import decode_message, encode


class HandClock:
    """Moves when told."""

    def __init__(self) -> None:
        self.time_s = 1000.0

    def now_s(self) -> float:
        return self.time_s

    def monotonic_s(self) -> float:
        return self.time_s


class HandCluster:
    """Members by name; every write is durable when `sync` is called, or at once."""

    def __init__(self, names: str = "LFG", *, syncs: bool = True, **knobs) -> None:
        self.clock = HandClock()
        self.syncs = syncs
        self.queues = defaultdict(list)
        self.applied = defaultdict(list)
        self.needy = defaultdict(set)
        self.journals, self.gates, self.cores = {}, {}, {}
        peers = {name: (name, 1) for name in names}
        for place, name in enumerate(names):
            config = RaftConfig(name, Path("none"), peers, peers[name], **knobs)
            journal = self.journals[name] = Journal(None, config.bootstrap)
            gate = self.gates[name] = Gate(journal, lambda peer, message, name=name: self._send(name, peer, message))
            self.cores[name] = make_core(
                config,
                journal,
                Elections(config, self.clock, random.Random(place)),
                self.clock,
                send=gate.send,
                apply=lambda index, term, command, name=name: self.applied[name].append(command),
                is_writable=lambda peer: True,
                needs_snapshot=lambda peer, name=name: self.needy[name].add(peer),
            )
            self.sync(name)
        for name in names:
            for peer in names:
                if peer != name:
                    self.cores[name].on_connected(peer)

    def _send(self, sender, receiver, message) -> None:
        self.queues[sender, receiver].append(encode(message))

    def sync(self, name: str) -> None:
        """The disk has everything."""
        self.journals[name].take()
        self.journals[name].synced()
        self.gates[name].release()

    def tick(self, name: str) -> None:
        self.cores[name].tick()
        if self.syncs:
            self.sync(name)

    def deliver(self, sender: str, receiver: str, count: int | None = None, *, keep: bool = False) -> None:
        """Hand over the first `count` messages of a link, all by default; `keep` leaves them to be delivered again."""
        queue = self.queues[sender, receiver]
        batch = queue[:count]
        if not keep:
            del queue[:count]
        for data in batch:
            self.cores[receiver].step(sender, decode_message(data))
            if self.syncs:
                self.sync(receiver)

    def elect(self, name: str, voter: str) -> None:
        """Make `name` the leader by the vote of `voter`, and let the voter catch up."""
        self.clock.time_s += 10
        self.tick(name)
        for _ in range(3):
            self.deliver(name, voter)
            self.deliver(voter, name)
        self.settle(name, voter)
        assert self.cores[name].is_leader()

    def settle(self, leader: str, *followers: str) -> None:
        """Replicate and commit all there is."""
        for _ in range(20):
            self.clock.time_s += 0.2
            self.tick(leader)
            for follower in followers:
                self.deliver(leader, follower)
                self.tick(follower)
                self.deliver(follower, leader)

    def waiting(self, sender: str, receiver: str) -> list:
        return [decode_message(data) for data in self.queues[sender, receiver]]
