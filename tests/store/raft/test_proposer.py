"""What callers are told, and that nothing is ever proposed twice."""

import asyncio
from pathlib import Path

import pytest

from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.errors import NoLeader, NotStarted, ProposalTimeout
from minik8s.store.raft.messages import Batch, Propose, Refused, decode_batch
from minik8s.store.raft.proposer import Proposer
from store.raft.cores import HandClock


class Desk:
    """A proposer of member `a`, what it logged and what it sent."""

    def __init__(self, **knobs):
        peers = {name: (name, 1) for name in "abc"}
        self.clock = HandClock()
        self.logged, self.sent = [], []
        self.proposer = Proposer(
            RaftConfig("a", Path("none"), peers, peers["a"], **knobs),
            self.clock,
            incarnation=7,
            append=self.logged.append,
            send=lambda peer, message: self.sent.append((peer, message)),
            is_open=True,
        )

    def pump(self, *, term=1, leader="b", connection=1):
        return self.proposer.pump(term=term, leader=leader, connection=connection)

    def apply(self, entry, *results):
        self.proposer.applied(decode_batch(entry), results)


def test_commands_wait_for_a_leader_and_leave_as_one_batch():
    async def scenario():
        desk = Desk()
        outcomes = [desk.proposer.add(command) for command in (b"x", b"y")]
        desk.pump(leader=None)
        assert not desk.sent
        desk.pump()
        [(peer, message)] = desk.sent
        assert (peer, message.term) == ("b", 1)
        assert decode_batch(message.command) == Batch("a", 7, 1, [b"x", b"y"])
        desk.apply(message.command, "first", "second")
        assert [await outcome for outcome in outcomes] == ["first", "second"]
        assert not desk.proposer.has_work

    asyncio.run(scenario())


def test_a_leader_logs_its_own_batches():
    async def scenario():
        desk = Desk()
        desk.proposer.add(b"x")
        desk.pump(leader="a")
        assert len(desk.logged) == 1
        assert not desk.sent

    asyncio.run(scenario())


def test_what_another_life_of_this_member_proposed_is_not_ours():
    async def scenario():
        desk = Desk()
        outcome = desk.proposer.add(b"x")
        desk.pump()
        desk.proposer.applied(Batch("a", 8, 1, [b"x"]), ["wrong"])
        desk.proposer.applied(Batch("b", 7, 1, [b"x"]), ["wrong"])
        assert not outcome.done()

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["refused", "passed by a later term"])
def test_a_batch_that_surely_failed_is_proposed_again(how):
    async def scenario():
        desk = Desk()
        outcome = desk.proposer.add(b"x")
        desk.pump()
        if how == "refused":
            desk.proposer.on_refused(Refused(7, 1))
        else:
            desk.proposer.passed_term(2)
        desk.pump(term=2, leader="c")
        assert [(peer, message.sequence) for peer, message in desk.sent] == [("b", 1), ("c", 2)]
        desk.apply(desk.sent[1][1].command, "done")
        assert await outcome == "done"

    asyncio.run(scenario())


def test_a_batch_is_not_proposed_again_while_its_term_may_still_commit_it():
    async def scenario():
        desk = Desk()
        desk.proposer.add(b"x")
        desk.pump()
        desk.proposer.passed_term(1)
        desk.proposer.on_refused(Refused(8, 1))
        desk.pump(term=2, leader="c")
        desk.pump(term=2, leader="b", connection=2)
        assert len(desk.sent) == 1

    asyncio.run(scenario())


def test_a_broken_connection_is_made_good_with_the_same_leader_in_the_same_term():
    async def scenario():
        desk = Desk()
        desk.proposer.add(b"x")
        desk.pump()
        desk.pump(connection=2)
        desk.pump(connection=2)
        assert desk.sent == [desk.sent[0]] * 2

    asyncio.run(scenario())


def test_a_leader_logs_a_batch_once_and_refuses_those_of_other_terms():
    desk = Desk()
    desk.proposer.on_propose("b", Propose(1, 5, 1, b"one"), term=1, is_leader=True)
    desk.proposer.on_propose("b", Propose(1, 5, 1, b"one"), term=1, is_leader=True)
    # It was logged in term 1: a refusal now would make the peer propose it again.
    desk.proposer.on_propose("b", Propose(1, 5, 1, b"one"), term=2, is_leader=False)
    assert (desk.logged, desk.sent) == ([b"one"], [])
    desk.proposer.on_propose("b", Propose(1, 5, 2, b"two"), term=2, is_leader=True)
    desk.proposer.on_propose("b", Propose(2, 5, 3, b"three"), term=2, is_leader=False)
    assert desk.sent == [("b", Refused(5, 2)), ("b", Refused(5, 3))]
    desk.proposer.on_propose("b", Propose(2, 6, 1, b"new life"), term=2, is_leader=True)
    assert desk.logged == [b"one", b"new life"]


def test_at_most_two_batches_are_under_way_and_they_do_not_outgrow_an_entry():
    async def scenario():
        desk = Desk(max_batch_bytes=100)
        for _ in range(10):
            desk.proposer.add(b"x" * 60)
        desk.pump()
        assert [len(decode_batch(message.command).commands) for _, message in desk.sent] == [2, 2]

    asyncio.run(scenario())


def test_under_load_a_batch_waits_a_little_to_grow():
    async def scenario():
        desk = Desk(max_batch_bytes=64)
        for _ in range(64):
            desk.proposer.add(b"x")
        desk.pump()
        desk.proposer.add(b"y")
        until_s = desk.pump()
        assert 0 < until_s - desk.clock.time_s <= desk.proposer.config.linger_max_s + 1e-9
        assert len(desk.sent) == 1
        desk.clock.time_s = until_s
        desk.pump()
        assert len(desk.sent) == 2

    asyncio.run(scenario())


def test_when_time_is_up_callers_learn_what_is_certain():
    async def scenario():
        desk = Desk()
        sent = desk.proposer.add(b"x")
        desk.pump()
        waiting = desk.proposer.add(b"y")
        desk.clock.time_s += 8
        desk.proposer.expire()
        with pytest.raises(ProposalTimeout):
            await sent
        with pytest.raises(NoLeader):
            await waiting
        assert not desk.proposer.has_work

    asyncio.run(scenario())


def test_stopping_tells_everybody():
    async def scenario():
        desk = Desk()
        sent = desk.proposer.add(b"x")
        desk.pump()
        waiting = desk.proposer.add(b"y")
        desk.proposer.close()
        with pytest.raises(ProposalTimeout):
            await sent
        with pytest.raises(NotStarted):
            await waiting
        with pytest.raises(NotStarted):
            desk.proposer.add(b"z")

    asyncio.run(scenario())


def test_a_caller_that_gave_up_is_not_proposed_for():
    async def scenario():
        desk = Desk()
        desk.proposer.add(b"x").cancel()
        desk.proposer.add(b"y")
        desk.pump()
        assert decode_batch(desk.sent[0][1].command).commands == [b"y"]

    asyncio.run(scenario())
