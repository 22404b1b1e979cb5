"""Raft's promises, one message at a time."""

import pytest

from minik8s.store.raft.journal import TruncatesCommitted
from minik8s.store.raft.messages import Ack, Append, PreVote, PreVoteReply, RequestVote, StaleTerm, Vote
from store.raft.cores import HandCluster


def kinds(messages):
    return [type(message).__name__ for message in messages]


def test_a_candidate_asks_for_votes_only_when_its_own_is_durable():
    cluster = HandCluster(syncs=False)
    cluster.clock.time_s += 10
    cluster.tick("L")
    cluster.deliver("L", "F")
    cluster.deliver("F", "L")
    assert cluster.cores["L"].term() == 1
    assert kinds(cluster.waiting("L", "F")) == []
    cluster.sync("L")
    assert kinds(cluster.waiting("L", "F")) == ["RequestVote"]


def test_a_vote_leaves_only_when_it_is_durable():
    cluster = HandCluster(syncs=False)
    cluster.cores["F"].step("L", RequestVote(1, 1, 0))
    assert cluster.waiting("F", "L") == []
    cluster.sync("F")
    assert cluster.waiting("F", "L") == [Vote(1)]


def test_an_ack_leaves_only_when_the_entries_are_durable():
    cluster = HandCluster(syncs=False)
    cluster.cores["F"].step("L", Append(1, 0, 1, 1, 0, [(1, b"\0x")]))
    assert cluster.waiting("F", "L") == []
    cluster.sync("F")
    assert cluster.waiting("F", "L") == [Ack(1, 0, 3, True)]


def test_a_leader_counts_itself_only_up_to_what_it_has_on_disk():
    cluster = HandCluster("L", syncs=False)
    core = cluster.cores["L"]
    cluster.tick("L")
    core.append(b"\0x")
    cluster.tick("L")
    assert core.is_leader()
    assert core.commit_index() == 1
    cluster.sync("L")
    cluster.tick("L")
    assert core.commit_index() == 3


def test_a_vote_is_given_once_in_a_term_and_survives_a_restart():
    cluster = HandCluster()
    cluster.cores["F"].step("L", RequestVote(1, 1, 0))
    cluster.cores["F"].step("G", RequestVote(1, 1, 0))
    cluster.sync("F")
    assert cluster.waiting("F", "L") == [Vote(1)]
    assert cluster.waiting("F", "G") == []
    assert (cluster.journals["F"].getCurrentTerm(), cluster.journals["F"].getVotedForNodeId()) == (1, "L")


def test_a_repeated_vote_counts_once():
    cluster = HandCluster("LFGHI")
    cluster.clock.time_s += 10
    cluster.tick("L")
    for peer in "FG":
        cluster.deliver("L", peer)
        cluster.deliver(peer, "L")
    core = cluster.cores["L"]
    assert core.term() == 1
    core.step("F", Vote(1))
    core.step("F", Vote(1))
    assert not core.is_leader()
    core.step("G", Vote(1))
    assert core.is_leader()


def test_a_member_that_hears_from_a_leader_supports_nobody_else():
    cluster = HandCluster()
    cluster.elect("L", "F")
    term = cluster.cores["F"].term()
    for member in "FL":
        cluster.cores[member].step("G", PreVote(term, 1, 99, 99))
        cluster.cores[member].step("G", RequestVote(term + 1, 99, 99))
        assert not [message for message in cluster.waiting(member, "G") if isinstance(message, PreVoteReply | Vote)]
        assert cluster.cores[member].term() == term
    cluster.clock.time_s += 2
    cluster.cores["F"].step("G", PreVote(term, 1, 99, 99))
    assert PreVoteReply(term, 1) in cluster.waiting("F", "G")


def test_a_member_without_a_majority_does_not_raise_its_term():
    cluster = HandCluster()
    for _ in range(20):
        cluster.clock.time_s += 5
        cluster.tick("L")
    assert cluster.cores["L"].term() == 0
    assert {type(message) for message in cluster.waiting("L", "F")} == {PreVote}


def test_a_leader_of_an_old_term_is_told_and_steps_down():
    cluster = HandCluster()
    cluster.elect("L", "F")
    cluster.cores["F"].step("G", Append(9, 0, 1, 1, 0, []))
    cluster.cores["F"].step("L", Append(1, 0, 1, 1, 0, []))
    assert StaleTerm(9) in cluster.waiting("F", "L")
    cluster.cores["L"].step("F", StaleTerm(9))
    assert not cluster.cores["L"].is_leader()
    assert cluster.cores["L"].term() == 9


def test_a_leader_that_nobody_answers_steps_down():
    cluster = HandCluster()
    cluster.elect("L", "F")
    cluster.clock.time_s += 1.6
    cluster.tick("L")
    assert not cluster.cores["L"].is_leader()


def test_an_ack_of_another_term_is_ignored():
    cluster = HandCluster()
    cluster.elect("L", "F")
    core = cluster.cores["L"]
    core.append(b"\0x")
    cluster.tick("L")
    core.step("G", Ack(core.term() - 1, 0, core.journal.last_index + 1, True))
    cluster.tick("L")
    assert core.commit_index() == core.journal.last_index - 1


def test_the_commit_index_stops_at_what_the_message_verified():
    cluster = HandCluster()
    core = cluster.cores["F"]
    core.step("L", Append(1, 0, 1, 1, 0, [(1, b"\0a"), (1, b"\0b"), (1, b"\0c")]))
    # A leader of term 2 knows entry 4 to be committed, but this message speaks of entry 2 alone.
    core.step("G", Append(2, 0, 4, 2, 1, []))
    assert core.commit_index() == 2
    assert core.journal.last_index == 4


def test_a_conflict_truncates_and_what_matches_stays():
    cluster = HandCluster()
    core = cluster.cores["F"]
    core.step("L", Append(1, 0, 1, 1, 0, [(1, b"\0a"), (1, b"\0b"), (1, b"\0c")]))
    core.step("G", Append(2, 0, 1, 1, 0, [(1, b"\0a"), (2, b"\0B")]))
    assert [command for command, _, _ in core.journal[1:]] == [b"\0a", b"\0B"]


def test_replacing_a_committed_entry_stops_the_member():
    cluster = HandCluster()
    core = cluster.cores["F"]
    core.step("L", Append(1, 0, 2, 1, 0, [(1, b"\0a")]))
    with pytest.raises(TruncatesCommitted):
        core.step("G", Append(2, 0, 2, 1, 0, [(2, b"\0b")]))


def test_a_stale_tail_of_a_thousand_entries_is_replaced_in_a_few_rounds():
    cluster = HandCluster(max_batch_bytes=1000)
    cluster.cores["G"].step("L", Append(1, 0, 1, 1, 0, [(1, b"\0stale")] * 1000))
    cluster.queues.clear()
    cluster.cores["L"].step("F", StaleTerm(1))
    cluster.elect("L", "F")
    for _ in range(1000):
        cluster.cores["L"].append(b"\0new")
    cluster.settle("L", "F", "G")
    assert cluster.journals["G"].last_index == cluster.journals["L"].last_index
    assert cluster.applied["G"] == cluster.applied["L"]


def test_nonsense_from_a_follower_is_ignored():
    cluster = HandCluster()
    cluster.elect("L", "F")
    core = cluster.cores["L"]
    for next_index in (-5, 0, 1, 10**9):
        for success in (True, False):
            core.step("F", Ack(core.term(), core._progress["F"].epoch, next_index, success))
    core.append(b"\0x")
    cluster.settle("L", "F")
    assert cluster.applied["F"][-1] == b"\0x"
