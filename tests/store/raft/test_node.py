"""A member as the store sees it, on real sockets and files."""

import asyncio
import random

import pytest
import uvloop

from minik8s.kit.clock import SystemClock
from minik8s.kit.run import StartError
from minik8s.store.raft.disk import FileDisk
from minik8s.store.raft.errors import (
    CommandTooLarge,
    LogCorrupt,
    LogWriteFailed,
    NoLeader,
    NotStarted,
    ProposalTimeout,
    ReadTimeout,
    TooManyProposals,
)
from minik8s.store.raft.node import RaftNode
from store.raft.members import Ledger, Members, configs, until


def run(scenario):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(scenario, 30))


def test_a_single_member_leads_at_once_and_needs_no_network(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, ["one"])) as cluster:
            node = cluster.nodes["one"]
            assert await node.propose(b"x") == 1
            await node.read_index()
            assert (node.is_leader, node.leader, node.term, node.members) == (True, "one", 1, ("one",))

    run(scenario())


def test_what_a_member_applied_is_there_after_a_restart(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, ["one"])) as cluster:
            for number in range(100):
                await cluster.nodes["one"].propose(b"%d" % number)
            await cluster.stop("one")
            node = await cluster.start("one")
            await node.read_index()
            assert cluster.ledgers["one"].commands == [b"%d" % number for number in range(100)]
            assert node.term == 2

    run(scenario())


def test_three_fresh_members_have_a_leader_within_a_second(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, "abc")) as cluster, asyncio.timeout(1):
            await cluster.leader()

    run(scenario())


def test_any_member_takes_writes_and_then_reads_them(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, "abc")) as cluster:
            await cluster.leader()
            for number, (name, node) in enumerate(cluster.nodes.items(), 1):
                assert await node.propose(name.encode()) == number
                assert cluster.ledgers[name].commands[-1] == name.encode()
            for name, node in cluster.nodes.items():
                await node.read_index()
                assert cluster.ledgers[name].commands == [b"a", b"b", b"c"]

    run(scenario())


def test_a_thousand_writes_at_once_become_few_entries_and_keep_their_callers_order(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, "abc")) as cluster:
            leader = await cluster.leader()
            follower = next(node for node in cluster.nodes.values() if node is not leader)
            before = leader.last_index
            results = await asyncio.gather(*(follower.propose(b"%d" % number) for number in range(1000)))
            assert results == sorted(results)
            assert leader.last_index - before < 50

    run(scenario())


def test_the_death_of_a_leader_costs_the_others_callers_time_but_no_errors(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, "abc")) as cluster:
            leader = await cluster.leader()
            others = [node for node in cluster.nodes.values() if node is not leader]
            writes = [asyncio.ensure_future(others[number % 2].propose(b"%d" % number)) for number in range(400)]
            await asyncio.sleep(0)
            await cluster.stop(leader.name)
            writes += [asyncio.ensure_future(others[number % 2].propose(b"%d" % number)) for number in range(400, 500)]
            await asyncio.gather(*writes)
            for node in others:
                await node.read_index()
            ledgers = [cluster.ledgers[node.name].commands for node in others]
            assert ledgers[0] == ledgers[1]
            assert sorted(ledgers[0]) == sorted(b"%d" % number for number in range(500))

    run(scenario())


def test_leadership_is_announced_when_it_begins_and_ends(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, "abc")) as cluster:
            heard = {name: [] for name in cluster.nodes}
            for name, node in cluster.nodes.items():
                node.on_leadership(lambda leads, term, name=name: heard[name].append((leads, term)))
            leader = await cluster.leader()
            await until(lambda: heard[leader.name])
            assert heard[leader.name][-1] == (True, leader.term)
            for name in [name for name in cluster.nodes if name != leader.name]:
                await cluster.stop(name)
            await until(lambda: heard[leader.name][-1][0] is False)
            assert leader.leader is None

    run(scenario())


def test_without_a_majority_a_write_surely_did_not_happen_and_a_read_times_out(tmp_path):
    async def scenario():
        three = configs(tmp_path, "abc", propose_timeout_s=0.3, read_timeout_s=0.3)
        async with Members({"a": three["a"]}) as cluster:
            with pytest.raises(NoLeader):
                await cluster.nodes["a"].propose(b"x")
            with pytest.raises(ReadTimeout):
                await cluster.nodes["a"].read_index()

    run(scenario())


def test_a_write_whose_leader_lost_the_majority_has_an_unknown_outcome(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, "abc", propose_timeout_s=0.5)) as cluster:
            leader = await cluster.leader()
            for name in [name for name in cluster.nodes if name != leader.name]:
                await cluster.stop(name)
            with pytest.raises(ProposalTimeout):
                await leader.propose(b"x")

    run(scenario())


def test_what_cannot_be_taken_is_refused_at_once(tmp_path):
    async def scenario():
        small = configs(tmp_path, ["one"], max_command_bytes=10, max_pending_commands=3)
        async with Members(small) as cluster:
            node = cluster.nodes["one"]
            await node.propose(b"x" * 10)
            with pytest.raises(CommandTooLarge):
                await node.propose(b"x" * 11)
            results = await asyncio.gather(*(node.propose(b"x") for _ in range(5)), return_exceptions=True)
            assert [type(result) for result in results[3:]] == [TooManyProposals, TooManyProposals]
            assert all(isinstance(result, int) for result in results[:3])

    run(scenario())


def test_a_large_command_passes(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, "abc")) as cluster:
            leader = await cluster.leader()
            follower = next(node for node in cluster.nodes.values() if node is not leader)
            big = random.Random(1).randbytes(2 << 20)
            await asyncio.gather(*(follower.propose(big) for _ in range(8)))
            assert cluster.ledgers[follower.name].commands == [big] * 8

    run(scenario())


def test_a_member_that_is_not_running_refuses(tmp_path):
    async def scenario():
        config = configs(tmp_path, ["one"])["one"]
        node = RaftNode(config, Ledger(), clock=SystemClock(), rng=random.Random(1))
        with pytest.raises(NotStarted):
            await node.propose(b"x")
        with pytest.raises(NotStarted):
            await node.read_index()
        assert (node.term, node.leader, node.is_leader, node.applied_index, node.last_index) == (0, None, False, 0, 0)

    run(scenario())


def test_a_member_that_was_away_catches_up(tmp_path):
    async def scenario():
        async with Members(configs(tmp_path, "abc", max_batch_bytes=1000)) as cluster:
            leader = await cluster.leader()
            away = next(name for name in cluster.nodes if name != leader.name)
            await cluster.stop(away)
            for _ in range(20):
                await asyncio.gather(*(leader.propose(b"x" * 100) for _ in range(100)))
            node = await cluster.start(away)
            await until(lambda: node.applied_index == leader.applied_index)
            assert len(cluster.ledgers[away].commands) == 2000

    run(scenario())


class FailingDisk(FileDisk):
    """Works until told otherwise."""

    is_full = False

    async def append(self, group, preamble, last_index):
        if self.is_full:
            raise LogWriteFailed("cannot write the log: No space left on device")
        await super().append(group, preamble, last_index)


def test_a_member_whose_disk_fails_stops_loudly_and_loses_nothing(tmp_path):
    async def scenario():
        config = configs(tmp_path, ["one"])["one"]
        disk = FailingDisk(config)
        node = RaftNode(config, Ledger(), clock=SystemClock(), rng=random.Random(1), disk=disk)
        task = asyncio.ensure_future(node.run())
        await until(lambda: node.is_leader)
        await node.propose(b"kept")
        disk.is_full = True
        with pytest.raises(ProposalTimeout):
            await node.propose(b"unknown")
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert caught.group_contains(LogWriteFailed, match="No space left")
        assert caught.group_contains(StartError)
        async with Members({"one": config}) as cluster:
            await cluster.nodes["one"].read_index()
            assert cluster.ledgers["one"].commands == [b"kept"]

    run(scenario())


def test_a_machine_that_raises_stops_the_member(tmp_path):
    class Broken:
        def apply(self, command):
            raise ZeroDivisionError

    async def scenario():
        config = configs(tmp_path, ["one"])["one"]
        node = RaftNode(config, Broken(), clock=SystemClock(), rng=random.Random(1))
        task = asyncio.ensure_future(node.run())
        await until(lambda: node.is_leader)
        with pytest.raises(ProposalTimeout):
            await node.propose(b"x")
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert caught.group_contains(ZeroDivisionError)

    run(scenario())


def test_a_corrupt_log_refuses_to_start(tmp_path):
    async def scenario():
        config = configs(tmp_path, ["one"])["one"]
        async with Members({"one": config}) as cluster:
            for _ in range(5):
                await cluster.nodes["one"].propose(b"x" * 50)
        [path] = (config.data_dir / "wal").glob("*.wal")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(LogCorrupt, match=str(path)):
            await RaftNode(config, Ledger(), clock=SystemClock(), rng=random.Random(1)).run()

    run(scenario())
