"""A log that does not grow for ever, and members that catch up by a snapshot: on real sockets and files."""

import asyncio
import dataclasses
import random

import pytest
import uvloop

from minik8s.kit.clock import SystemClock
from minik8s.kit.run import StartError
from minik8s.store.raft.disk import FileDisk
from minik8s.store.raft.errors import LogCorrupt, LogWriteFailed, ProposalTimeout
from minik8s.store.raft.journal import Journal, State
from minik8s.store.raft.keeper import Keeper
from minik8s.store.raft.node import RaftNode
from minik8s.store.raft.roster import Configuration, Place
from minik8s.store.raft.snapshots import Framer, Header, Snapshots
from store.raft.members import Ledger, Members, configs, until

SMALL = {"snapshot_entries": 40, "keep_entries": 5, "segment_bytes": 2000, "install_chunk_bytes": 500}


def run(scenario):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(scenario, 30))


def files(config, kind):
    return sorted((config.data_dir / kind).glob("*.wal" if kind == "wal" else "*.snap"))


async def write(node, first, count):
    for number in range(first, first + count):
        await node.propose(b"%04d" % number)


def test_the_log_is_cut_behind_a_snapshot_and_a_start_needs_only_both(tmp_path):
    async def scenario():
        one = configs(tmp_path, ["one"], **SMALL)
        async with Members(one) as cluster:
            await write(cluster.nodes["one"], 0, 300)
            await until(lambda: files(one["one"], "snap"))
            await until(lambda: files(one["one"], "wal")[0].stem != f"{1:016x}")
            before = cluster.ledgers["one"].commands
            await cluster.stop("one")
            node = await cluster.start("one")
            await node.read_index()
            assert cluster.ledgers["one"].commands == before
            await write(node, 300, 50)
            assert len(cluster.ledgers["one"].commands) == 350
            assert len(files(one["one"], "snap")) == 1

    run(scenario())


@pytest.mark.parametrize("is_new", [False, True], ids=["lagging", "new"])
def test_a_member_too_far_behind_is_sent_a_snapshot_while_writes_go_on(tmp_path, is_new):
    async def scenario():
        three = configs(tmp_path, "abc", **SMALL)
        async with Members({"a": three["a"], "b": three["b"]}) as cluster:
            leader = await cluster.leader()
            if not is_new:
                cluster.configs = three
                await cluster.start("c")
                await write(leader, 0, 10)
                await until(lambda: len(cluster.ledgers["c"].commands) == 10)
                await cluster.stop("c")
            await write(leader, 10, 300)
            await until(lambda: leader._journal.first_index > 100)
            cluster.configs = three
            writes = asyncio.ensure_future(write(leader, 310, 100))
            late = await cluster.start("c")
            restored = []
            late.on_restored(lambda: restored.append(len(cluster.ledgers["c"].commands)))
            await writes
            await late.read_index()
            assert restored
            assert cluster.ledgers["c"].commands == cluster.ledgers[leader.name].commands
            await cluster.stop("c")
            again = await cluster.start("c")
            await again.read_index()
            assert cluster.ledgers["c"].commands == cluster.ledgers[leader.name].commands

    run(scenario())


def test_no_two_members_take_snapshots_at_the_same_place(tmp_path):
    members = Configuration({name: Place("h", port) for port, name in enumerate("abc")})
    turns = {}
    for name, config in configs(tmp_path, "abc", secure=False, snapshot_entries=3000).items():
        journal = Journal(State(), members)
        keeper = Keeper(config, journal, None, None, SystemClock(), snapshot_index=0, sending=lambda: None)
        turns[name] = []
        while len(turns[name]) < 5:
            turns[name].append(keeper._next_index())
            keeper.installed(turns[name][-1] + 17)
    assert turns == {
        "a": [3000, 6000, 9000, 12000, 15000],
        "b": [1000, 4000, 7000, 10000, 13000],
        "c": [2000, 5000, 8000, 11000, 14000],
    }


HEADER = Header(7, 3, Configuration({"a": Place("h", 1)}))


def snapshot_file(directory, chunks=(b"one", b"two" * 100)):
    framer = Framer()
    store = Snapshots(directory)
    store.open()
    draft = store.draft("own")
    for data in [framer.header(HEADER), *map(framer.chunk, chunks), framer.end()]:
        draft.write(data)
    assert draft.check() == HEADER
    assert draft.keep(HEADER)
    return directory / f"{7:016x}.snap"


def read(directory):
    store = Snapshots(directory)
    return store.open(), list(store.chunks())


def test_a_snapshot_file_is_read_back(tmp_path):
    snapshot_file(tmp_path)
    assert read(tmp_path) == (HEADER, [b"one", b"two" * 100])


def test_any_damage_to_a_snapshot_is_refused_with_file_and_offset(tmp_path):
    path = snapshot_file(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(LogCorrupt, match=f"{path.name}: corrupt at byte") as caught:
            read(tmp_path)
        assert caught.value.offset <= place
        path.write_bytes(whole[:place])
        with pytest.raises(LogCorrupt):
            read(tmp_path)
    path.write_bytes(whole + b"x")
    with pytest.raises(LogCorrupt, match="something follows"):
        read(tmp_path)


def test_what_a_crash_left_of_a_snapshot_is_removed(tmp_path):
    snapshot_file(tmp_path)
    (tmp_path / "own.tmp").write_bytes(b"half")
    assert read(tmp_path)[0] == HEADER
    assert not list(tmp_path.glob("*.tmp"))


def test_an_older_snapshot_never_replaces_a_newer_one(tmp_path):
    snapshot_file(tmp_path)
    store = Snapshots(tmp_path)
    store.open()
    draft = store.draft("own")
    draft.write(b"")
    assert not draft.keep(Header(6, 3, None))
    assert store.current == HEADER


def test_a_log_that_does_not_reach_its_snapshot_is_refused():
    with pytest.raises(ValueError, match="the log begins with entry 9, the snapshot ends with 7"):
        Journal(State(entries=[(b"x", 9, 3)], snapshot=HEADER))
    with pytest.raises(ValueError, match="the log begins with entry 9, and there is no snapshot"):
        Journal(State(entries=[(b"x", 9, 3)]))


def test_a_crash_between_snapshot_and_log_of_an_install_is_made_good():
    state = State(entries=[(b"x", index, 1) for index in range(1, 10)], snapshot=HEADER, term=3)
    journal = Journal(state)
    assert (journal.first_index, journal.last_index, journal.is_dirty) == (7, 7, True)
    again = State(entries=[(b"x", index, 1) for index in range(1, 10)])
    again.replay(journal.take())
    assert again.entries == [(b"", 7, 3)]


class FullDisk(FileDisk):
    """No snapshot fits."""

    def draft(self, name):
        class Draft:
            async def write(self, data):
                raise LogWriteFailed("cannot write or read a snapshot: No space left on device")

            def close(self):
                pass

        return Draft()


def test_a_member_that_cannot_write_its_snapshot_stops_loudly(tmp_path):
    async def scenario():
        config = configs(tmp_path, ["one"], **SMALL)["one"]
        node = RaftNode(config, Ledger(), clock=SystemClock(), rng=random.Random(1), disk=FullDisk(config))
        task = asyncio.ensure_future(node.run())
        await node.opened.wait()
        with pytest.raises((ProposalTimeout, Exception)):
            await write(node, 0, 200)
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert caught.group_contains(StartError, match="No space left")
        async with Members({"one": dataclasses.replace(config, snapshot_entries=10_000)}) as cluster:
            await cluster.nodes["one"].read_index()
            assert len(cluster.ledgers["one"].commands) >= 30

    run(scenario())
