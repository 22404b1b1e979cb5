"""The state through a snapshot: the same answers after as before, whatever happens meanwhile."""

import contextlib
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.store import commands
from minik8s.store.machine import Machine
from minik8s.store.snapshot import SnapshotUnreadable
from minik8s.store.watch import Watcher, WatchHub
from minik8s.wire.etcd import rpc_pb2


def put(key, value=b"", lease=0):
    return commands.PUT + rpc_pb2.PutRequest(key=key, value=value, lease=lease).SerializeToString()


def delete(key):
    return commands.DELETE_RANGE + rpc_pb2.DeleteRangeRequest(key=key).SerializeToString()


def compact(revision):
    return commands.COMPACT + rpc_pb2.CompactionRequest(revision=revision).SerializeToString()


def grant(lease_id):
    return commands.LEASE_GRANT + rpc_pb2.LeaseGrantRequest(ID=lease_id, TTL=60).SerializeToString()


def put_and_delete_at_once(key):
    inner = rpc_pb2.TxnRequest(
        success=[rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key, value=b"once"))],
    )
    txn = rpc_pb2.TxnRequest(
        success=[
            rpc_pb2.RequestOp(request_txn=inner),
            rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key)),
        ]
    )
    return commands.TXN + txn.SerializeToString()


def random_commands(rng, count):
    """Some of every kind; compactions near the present."""
    for number in range(count):
        key = b"k%d" % rng.randrange(20)
        match rng.randrange(12):
            case 0:
                yield delete(key)
            case 1:
                yield compact(max(1, number // 2 - rng.randrange(5)))
            case 2:
                yield grant(number + 1)
            case 3:
                yield commands.LEASE_REVOKE + rpc_pb2.LeaseRevokeRequest(ID=rng.randrange(count)).SerializeToString()
            case 4:
                yield put_and_delete_at_once(b"k%d" % rng.randrange(20, 25))
            case 5:
                yield put(key, b"leased", rng.randrange(number + 1))
            case 6:
                yield (
                    commands.ALARM
                    + rpc_pb2.AlarmRequest(
                        action=rng.choice([1, 2]),
                        memberID=1,
                        alarm=rpc_pb2.NOSPACE if number % 7 == 0 else rpc_pb2.NONE,
                    ).SerializeToString()
                )
            case _:
                yield put(key, rng.randbytes(rng.randrange(50)))


def summary(machine):
    mvcc = machine.space.mvcc
    history = [mvcc.batch(revision) for revision in range(max(2, mvcc.compact_revision), mvcc.revision + 1)]
    leases = sorted(
        (lease.id, lease.ttl_s, lease.renewals, tuple(sorted(lease.keys))) for lease in machine.space.leases
    )
    return (
        mvcc.revision,
        mvcc.compact_revision,
        mvcc.size_bytes,
        mvcc.hash_kv(),
        mvcc.range(b"\0", b"\0"),
        history,
        leases,
        machine.space.leases.term,
        dict(machine.members),
        set(machine.alarms.raised),
        machine.cluster_id,
    )


def restored(stream):
    machine = Machine()
    machine.restore(stream)
    return machine


@pytest.mark.parametrize("seed", range(30))
def test_a_restored_state_is_the_one_that_was_pinned_and_goes_on_like_it(seed):
    rng = random.Random(seed)
    machine = Machine()
    machine.apply(commands.found_cluster(7))
    machine.apply(commands.PUBLISH + rpc_pb2.Member(ID=5, name="a", clientURLs=["http://a"]).SerializeToString())
    for command in random_commands(rng, 300):
        machine.apply(command)
    stream = machine.snapshot()
    before = summary(machine)
    first_chunks = [next(stream)]
    more = list(random_commands(rng, 200))
    for command in more:
        machine.apply(command)
    after = restored([*first_chunks, *stream])
    assert summary(after) == before
    for command in more:
        after.apply(command)
    assert summary(after) == summary(machine)


def test_chunks_are_small():
    machine = Machine()
    for number in range(3000):
        machine.apply(put(b"%d" % number, b"x" * 300))
    machine.apply(put(b"big", b"x" * 1_000_000))
    sizes = [len(chunk) for chunk in machine.snapshot()]
    assert len(sizes) > 7
    assert max(sizes) < 1_300_000
    assert sorted(sizes)[-2] < 300_000


class Stream:
    def __init__(self):
        self.lagging = []

    def lag(self, watcher):
        self.lagging.append(watcher)

    def revision_committed(self, revision):
        pass


def test_a_watcher_reads_on_where_it_was_never_before():
    """etcd's issue 15271: after a snapshot was installed, watchers were sent events they had had."""
    ahead, behind = Machine(), Machine()
    for number in range(10):
        for machine in (ahead, behind):
            machine.apply(put(b"a", b"%d" % number))
    hub, stream = WatchHub(behind.space.mvcc), Stream()
    behind.observers.append(hub)
    up_to_date, future = Watcher(1, b"a", b"", 2), Watcher(2, b"a", b"", 100)
    up_to_date.next_revision = behind.space.mvcc.revision + 1
    other = Watcher(3, b"unrelated", b"", 12)
    for watcher in (up_to_date, future, other):
        hub.add(watcher, stream)
    behind.apply(put(b"a"))
    ahead.apply(put(b"a"))
    stream.lagging.clear()
    up_to_date.is_behind = False
    for _ in range(5):
        ahead.apply(put(b"a"))
    behind.restore(ahead.snapshot())
    assert stream.lagging == [up_to_date, other]
    assert up_to_date.next_revision == other.next_revision == 13
    assert not future.is_behind
    assert hub.mvcc.revision == 17


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_give_a_state_or_a_named_error(stream):
    with contextlib.suppress(SnapshotUnreadable):
        restored(stream)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_snapshot_gives_a_state_or_a_named_error(data):
    machine = Machine()
    for command in random_commands(random.Random(1), 60):
        machine.apply(command)
    stream = [bytearray(chunk) for chunk in machine.snapshot()]
    for _ in range(data.draw(st.integers(1, 4))):
        chunk = data.draw(st.sampled_from(stream))
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    target = Machine()
    try:
        target.restore(map(bytes, stream))
    except SnapshotUnreadable:
        assert target.space.mvcc.revision == 1


def test_another_format_is_refused_by_name():
    head = [2, 1, -1, 2, 0, [], [], [], 0]
    with pytest.raises(SnapshotUnreadable, match="format 2"):
        restored([msgspec.msgpack.encode(head)])
