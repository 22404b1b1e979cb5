"""Members come, are promoted and go, the leader too, on real sockets and files."""

import asyncio
import dataclasses

import pytest
import uvloop

from minik8s.store.raft.errors import (
    LearnerNotReady,
    MemberExists,
    MemberNotFound,
    MemberNotLearner,
    NotLeader,
    QuorumAtRisk,
    Removed,
    TransferFailed,
)
from store.raft.members import Members, configs, until


def run(scenario):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(scenario, 40))


def three_of(tmp_path, names="abcd", **knobs):
    """Configurations of a cluster of a, b, c, and of others that know all and join."""
    every = configs(tmp_path, names, **knobs)
    founders = {name: every[name].peers[name] for name in "abc"}
    return {
        name: dataclasses.replace(config, peers=founders)
        if name in founders
        else dataclasses.replace(config, peers={**founders, name: config.peers[name]}, joins=True)
        for name, config in every.items()
    }


class Growing(Members):
    """Starts the founders only."""

    async def __aenter__(self):
        for name in "abc":
            await self.start(name)
        return self

    async def ended(self, name):
        """How a member ended that was removed."""
        [error] = await asyncio.wait_for(asyncio.gather(self.tasks.pop(name), return_exceptions=True), 8)
        return error


async def follower(cluster):
    leader = await cluster.leader()
    return next(cluster.nodes[name] for name in cluster.tasks if cluster.nodes[name] is not leader)


async def promoted(node, name):
    async with asyncio.timeout(5):
        while True:
            try:
                return await node.promote(name)
            except LearnerNotReady:
                await asyncio.sleep(0.02)


def test_a_learner_follows_is_promoted_and_counts(tmp_path):
    async def scenario():
        async with Growing(three_of(tmp_path)) as cluster:
            node = await follower(cluster)
            await node.propose(b"before")
            address = cluster.configs["d"].listen
            await node.add_member("d", address, learner=True)
            assert node.configuration["d"] == (address, True)
            with pytest.raises(LearnerNotReady):
                await node.promote("d")
            joined = await cluster.start("d")
            await joined.read_index()
            assert cluster.ledgers["d"].commands == [b"before"]
            assert joined.configuration["d"] == (address, True)
            with pytest.raises(MemberExists):
                await node.add_member("d", address, learner=True)
            await promoted(node, "d")
            await until(lambda: joined.configuration["d"] == (address, False))
            with pytest.raises(MemberNotLearner):
                await node.promote("d")
            # Of four, three make a majority: with one founder away the newcomer is needed.
            await cluster.stop(node.name)
            await cluster.leader()
            assert await joined.propose(b"after") == 2

    run(scenario())


def test_members_find_each_other_again_after_all_were_restarted(tmp_path):
    async def scenario():
        async with Growing(three_of(tmp_path)) as cluster:
            node = await follower(cluster)
            await node.add_member("d", cluster.configs["d"].listen, learner=False)
            await cluster.start("d")
            await cluster.nodes["d"].propose(b"one")
            gone = (await follower(cluster)).name
            await cluster.nodes["d" if gone != "d" else "a"].remove_member(gone)
            await cluster.ended(gone)
            for name in list(cluster.tasks):
                await cluster.stop(name)
            left = [name for name in "abcd" if name != gone]
            for name in left:
                await cluster.start(name)
            await until(lambda: any(cluster.nodes[name].is_leader for name in left))
            await cluster.nodes["d" if gone != "d" else "a"].propose(b"two")
            assert set(cluster.nodes[left[0]].configuration) == set(left)

    run(scenario())


def test_a_removed_member_stops_and_says_why_and_does_not_start_again(tmp_path):
    async def scenario():
        async with Growing(three_of(tmp_path)) as cluster:
            node = await follower(cluster)
            leader = await cluster.leader()
            gone = next(name for name in "abc" if name not in (node.name, leader.name))
            await node.remove_member(gone)
            assert "was removed from the cluster" in str((await cluster.ended(gone)).exceptions)
            with pytest.raises(MemberNotFound):
                await node.remove_member(gone)
            await node.propose(b"x")
            again = await cluster.start(gone)
            assert isinstance((await cluster.ended(gone)).exceptions[0], Removed)
            assert not again.is_leader

    run(scenario())


def test_a_leader_can_be_removed_from_anywhere(tmp_path):
    async def scenario():
        async with Growing(three_of(tmp_path)) as cluster:
            node = await follower(cluster)
            gone = (await cluster.leader()).name
            await node.remove_member(gone)
            assert gone not in node.configuration
            await cluster.ended(gone)
            await node.propose(b"x")
            last = (await cluster.leader()).name
            await cluster.nodes[last].remove_member(last)
            await cluster.ended(last)
            [left] = cluster.nodes.keys() - {gone, last}
            await cluster.nodes[left].propose(b"y")
            assert cluster.nodes[left].is_leader
            with pytest.raises(QuorumAtRisk):
                await cluster.nodes[left].remove_member(left)

    run(scenario())


def test_a_removal_that_would_cost_the_majority_is_refused(tmp_path):
    async def scenario():
        async with Growing(three_of(tmp_path)) as cluster:
            leader = await cluster.leader()
            away, here = [name for name in "abc" if name != leader.name]
            await cluster.stop(away)
            await until(lambda: away not in leader._core.connected())
            with pytest.raises(QuorumAtRisk):
                await leader.remove_member(here)
            await leader.remove_member(away)
            assert set(leader.configuration) == {leader.name, here}

    run(scenario())


def test_leadership_goes_where_it_is_sent_without_a_failed_write(tmp_path):
    async def scenario():
        async with Growing(three_of(tmp_path)) as cluster:
            old = await cluster.leader()
            new = await follower(cluster)
            with pytest.raises(NotLeader):
                await new.transfer_leadership(new.name)
            with pytest.raises(TransferFailed):
                await old.transfer_leadership("nobody")
            done = asyncio.Event()

            async def write(node):
                count = 0
                while not done.is_set():
                    await node.propose(b"%s %d" % (node.name.encode(), count))
                    count += 1
                return count

            writers = [asyncio.ensure_future(write(node)) for node in cluster.nodes.values()]
            await asyncio.sleep(0.1)
            term = old.term
            await old.transfer_leadership(new.name)
            assert (new.is_leader, new.term) == (True, term + 1)
            await asyncio.sleep(0.1)
            done.set()
            counts = await asyncio.gather(*writers)
            await new.read_index()
            assert len(cluster.ledgers[new.name].commands) == sum(counts)

    run(scenario())


def test_a_leader_that_ends_on_request_hands_over_first(tmp_path):
    async def scenario():
        async with Growing(three_of(tmp_path, hand_over_s=1.0)) as cluster:
            old = await cluster.leader()
            term = old.term
            await cluster.stop(old.name)
            others = [cluster.nodes[name] for name in cluster.tasks]
            await until(lambda: any(node.is_leader for node in others), 1.0)
            assert max(node.term for node in others) == term + 1

    run(scenario())
