"""The simulation is not blind: take out a safeguard, and a seed shows it.

Replacing our own code is against the style everywhere but here, where the missing code is the point.
"""

import pytest

from minik8s.store.raft.core import Core
from minik8s.store.raft.gate import Gate
from minik8s.store.raft.journal import Journal
from minik8s.store.raft.messages import Append
from minik8s.store.raft.proposer import Proposer
from minik8s.store.raft.readindex import ReadIndex
from sim.store.story import simulate


def promises_before_they_are_durable(patch):
    patch.setattr(Gate, "send", lambda self, peer, message: self._send(peer, message))


def counts_itself_before_its_disk_has_it(patch):
    original = Core._SyncObj__applyLogEntries

    def apply(self):
        durable, self.journal.durable_index = self.journal.durable_index, self.journal.last_index
        try:
            return original(self)
        finally:
            self.journal.durable_index = durable

    patch.setattr(Core, "_SyncObj__applyLogEntries", apply)


def truncates_what_follows_any_append(patch):
    def entries(self, first, count=None, size=None):
        return self.journal[first - 1 :] if count is None else self.journal[first - 1 : first - 1 + count]

    def delete(self, first):
        if first < len(self):
            self._truncate(first + 1)

    patch.setattr(Core, "_SyncObj__getEntries", entries)
    patch.setattr(Journal, "deleteEntriesFrom", delete)


def commits_what_no_message_verified(patch):
    original = Core._on_append

    def on_append(self, peer, message):
        original(self, peer, message)
        if message.term == self.term() and isinstance(message, Append):
            commit = min(message.commit_index, self.journal.last_index)
            self._SyncObj__raftCommitIndex = max(self.commit_index(), commit)

    patch.setattr(Core, "_on_append", on_append)


def proposes_again_as_soon_as_a_later_term_is_seen(patch):
    original = Proposer.pump

    def pump(self, *, term, leader, connection):
        self.passed_term(term)
        return original(self, term=term, leader=leader, connection=connection)

    patch.setattr(Proposer, "pump", pump)


def reads_without_confirming_that_it_leads(patch):
    patch.setattr(ReadIndex, "_ask_peers", lambda self, round_, view: round_.confirmed.update(self.config.members))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("safeguard_out", "first_seed"),
    [
        (promises_before_they_are_durable, 44),
        (counts_itself_before_its_disk_has_it, 15),
        (truncates_what_follows_any_append, 1),
        (commits_what_no_message_verified, 1),
        (proposes_again_as_soon_as_a_later_term_is_seen, 1),
        (reads_without_confirming_that_it_leads, 8),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_without_a_safeguard_a_seed_fails(safeguard_out, first_seed, monkeypatch):
    safeguard_out(monkeypatch)
    with pytest.raises(AssertionError, match="seed"):
        # Which seed shows it changes with every change of timing; the first named one did when this was written.
        for seed in range(first_seed, first_seed + 25):
            simulate(seed)
