"""The fault that made us distrust PySyncObj (S1), on links that keep order and without any disk fault.

A success ack rewinds the leader, who sends again; the follower truncates what it acknowledged; the leader dies:
acknowledged writes are gone.
"""

from collections import defaultdict
from typing import ClassVar

from pysyncobj import SyncObj, SyncObjConf, replicated
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from store.raft.cores import HandCluster

WRITES = 30


class _Links(Transport):
    """Stock PySyncObj's messages, kept until delivered."""

    queues: ClassVar = defaultdict(list)

    def __init__(self, owner, own, others):
        super().__init__(owner, own, others)
        self.own = own.id

    @property
    def ready(self):
        return True

    def send(self, node, message):
        self.queues[self.own, node.id].append(dict(message))
        return True


class _Stock(SyncObj):
    """A replicated list on unaltered PySyncObj."""

    def __init__(self, name, others):
        conf = SyncObjConf(
            autoTick=False,
            appendEntriesBatchSizeBytes=400,
            raftMinTimeout=30,
            raftMaxTimeout=31,
            appendEntriesPeriod=1e-9,
            connectionTimeout=60,
        )
        self.kept = []
        super().__init__(Node(name), [Node(other) for other in others], conf, nodeClass=Node, transportClass=_Links)

    @replicated
    def put(self, number, filling):
        self.kept.append(number)


def test_stock_pysyncobj_loses_acknowledged_writes():
    queues = _Links.queues
    queues.clear()
    members = {name: _Stock(name, [other for other in "LFG" if other != name]) for name in "LFG"}

    def deliver(sender, receiver, count=None):
        batch = queues[sender, receiver][:count]
        del queues[sender, receiver][:count]
        for message in batch:
            members[receiver]._SyncObj__onMessageReceived(Node(sender), message)

    def round_trip():
        members["L"].doTick()
        for follower in "FG":
            deliver("L", follower)
            deliver(follower, "L")

    for name, member in members.items():
        for other in "LFG":
            if other != name:
                member._SyncObj__onNodeConnected(Node(other))
    leader, follower = members["L"], members["F"]
    leader._SyncObj__raftElectionDeadline = 0
    for _ in range(5):
        round_trip()
    queues.clear()  # From here on G hears nothing.

    acknowledged = []
    for number in range(WRITES):
        leader.put(number, b"x" * 60, callback=lambda _, error, number=number: error or acknowledged.append(number))
    leader.conf.appendEntriesPeriod = 5
    leader._SyncObj__newAppendEntriesTime = float("inf")
    leader.doTick()
    leader._SyncObj__newAppendEntriesTime = 0
    leader.doTick()
    deliver("L", "F")
    deliver("F", "L", 1)
    leader._SyncObj__newAppendEntriesTime = 0
    leader.doTick()
    deliver("F", "L")
    leader.doTick()
    assert len(acknowledged) == WRITES
    deliver("L", "F", 1)

    queues.clear()  # L is dead.
    follower._SyncObj__raftElectionDeadline = 0
    for _ in range(50):
        follower._SyncObj__newAppendEntriesTime = 0
        follower.doTick()
        deliver("F", "G")
        deliver("G", "F")
    assert follower._isLeader()
    assert set(acknowledged) - set(follower.kept), "stock PySyncObj was mended: see what we may drop"


def test_our_members_keep_them():
    cluster = HandCluster(max_batch_bytes=100)
    leader = cluster.cores["L"]
    cluster.elect("L", "F")
    cluster.queues.clear()  # From here on G hears nothing.

    for number in range(WRITES):
        leader.append(b"\0%02d" % number + b"x" * 20)
    cluster.tick("L")
    batches = cluster.waiting("L", "F")
    assert len(batches) > 3
    cluster.deliver("L", "F", 1, keep=True)
    again = cluster.queues["L", "F"][0]
    cluster.deliver("L", "F")
    cluster.deliver("F", "L", 1)
    cluster.tick("L")
    assert not any(message.entries for message in cluster.waiting("L", "F")), "an ack made the leader send again"
    cluster.settle("L", "F")
    assert len(cluster.applied["L"]) >= WRITES
    end = cluster.journals["F"].last_index
    cluster.queues["L", "F"] = [again]
    cluster.deliver("L", "F")
    assert cluster.journals["F"].last_index == end, "a repeated batch truncated the log"

    cluster.queues.clear()  # L is dead.
    for name in "FG":
        cluster.cores[name].on_disconnected("L")
    cluster.elect("F", "G")
    for name in "FG":
        assert [entry for entry in cluster.applied[name] if entry[:1] == b"\0"] == [
            b"\0%02d" % number + b"x" * 20 for number in range(WRITES)
        ]
