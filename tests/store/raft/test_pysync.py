"""PySyncObj's private code that we stand on, pinned: an upgrade that changes it fails here, not in production."""

import hashlib
import inspect

import pysyncobj
import pysyncobj.syncobj as stock
from pysyncobj.journal import Journal
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from minik8s.store.raft.pysync import Member, load

RELIED_ON = {
    "__init__": "09df12cd7fd7",
    "_onTick": "cc9eb08232d0",
    "doTick": "bef78c2ba06d",
    "__onMessageReceived": "ddfe34b6c028",
    "__onBecomeLeader": "5a3fd97bc17d",
    "__setCurrentTerm": "0ad5bf456ac0",
    "__setState": "2c1f239f7bd7",
    "__onLeaderChanged": "53b7685e1d89",
    "__onNodeConnected": "2655afb481b4",
    "__onNodeDisconnected": "a81c0475ba22",
    "__connectedToAnyone": "acd40e9e3ac6",
    "__getCurrentLogIndex": "e5af22ca2466",
    "__getCurrentLogTerm": "1cb8867e6a13",
    "__onSetCodeVersion": "17b050edb193",
    "_isLeader": "56c32c31db26",
}
OVERRIDDEN = (
    "__generateRaftTimeout",
    "__sendNextNodeIdx",
    "__getEntries",
    "__sendAppendEntries",
    "__applyLogEntries",
    "_checkCommandsToApply",
    "__tryLogCompaction",
    "__loadDumpFile",
)
CLASSES = {Journal: "8375f2a66c86", Node: "08d57d1bfde2", Transport: "9b0212a7af61"}


def digest(code):
    return hashlib.sha256(inspect.getsource(code).encode()).hexdigest()[:12]


def method(name):
    return getattr(stock.SyncObj, f"_SyncObj{name}" if name.startswith("__") and name != "__init__" else name)


def test_what_we_rely_on_is_what_we_read():
    found = {name: digest(method(name)) for name in RELIED_ON}
    assert found == RELIED_ON, "read what changed, run scripts/sim store, then pin it again"
    assert {cls: digest(cls) for cls in CLASSES} == CLASSES


def test_what_we_override_is_called_as_before():
    assert pysyncobj.version.VERSION == "0.3.17"
    source = inspect.getsource(stock.SyncObj)
    for name in OVERRIDDEN:
        assert f"def {name}(" in source
        assert f"self.{name}(" in source


def test_a_copy_leaves_the_users_pysyncobj_alone():
    before = dict(vars(stock))
    first, second = load(lambda: 1.0), load(lambda: 2.0)
    assert first is not second
    assert first is not stock.SyncObj
    assert dict(vars(stock)) == before


def test_no_member_can_unpickle():
    assert load(lambda: 0.0).__init__.__globals__["pickle"] is None


def test_members_hash_alike_in_every_process():
    assert hash(Member("m0")) == 3075684281
