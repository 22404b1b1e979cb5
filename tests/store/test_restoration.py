"""A backup becomes the data of a member."""

import io

import pytest

from minik8s.store import backup, commands, restoration
from minik8s.store.machine import Machine
from minik8s.store.raft.snapshots import Snapshots
from minik8s.wire.etcd import rpc_pb2 as rpc


def test_a_member_starts_from_what_was_restored(tmp_path):
    machine = Machine()
    for number in range(30):
        machine.apply(commands.PUT + rpc.PutRequest(key=b"%d" % number, value=b"x").SerializeToString())
    read = backup.read(io.BytesIO(b"".join(backup.pieces(machine))))
    restoration.write(read, tmp_path / "s1")
    snapshots = Snapshots(tmp_path / "s1" / "snap")
    header = snapshots.open()
    assert header is not None
    assert header.configuration is None
    started = Machine()
    started.restore(snapshots.chunks())
    assert list(started.snapshot()) == list(machine.snapshot())


def test_data_is_not_overwritten(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(FileExistsError):
        restoration.write(Machine(), tmp_path)
