"""What raised alarms refuse, and how they end."""

import pytest

from minik8s.store import commands
from minik8s.store.errors import CORRUPT, NO_SPACE, EtcdError
from minik8s.store.machine import Machine
from minik8s.wire.etcd import rpc_pb2 as rpc

PUT = commands.PUT + rpc.PutRequest(key=b"a").SerializeToString()
DELETE = commands.DELETE_RANGE + rpc.DeleteRangeRequest(key=b"a").SerializeToString()
GRANT = commands.LEASE_GRANT + rpc.LeaseGrantRequest(ID=1, TTL=9).SerializeToString()
REVOKE = commands.LEASE_REVOKE + rpc.LeaseRevokeRequest(ID=1).SerializeToString()
COMPACT = commands.COMPACT + rpc.CompactionRequest(revision=1).SerializeToString()
PUTTING = rpc.TxnRequest(failure=[rpc.RequestOp(request_put=rpc.PutRequest(key=b"b"))])
TXN_PUT = commands.TXN + PUTTING.SerializeToString()
TXN_NESTED = commands.TXN + rpc.TxnRequest(success=[rpc.RequestOp(request_txn=PUTTING)]).SerializeToString()
TXN_DELETE = (
    commands.TXN
    + rpc.TxnRequest(success=[rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=b"a"))]).SerializeToString()
)


def alarm(action: int, kind: int = rpc.NOSPACE, member: int = 7) -> bytes:
    return commands.ALARM + rpc.AlarmRequest(action=action, memberID=member, alarm=kind).SerializeToString()


def machine_with(kind: int) -> Machine:
    machine = Machine()
    machine.apply(PUT)
    machine.apply(alarm(rpc.AlarmRequest.ACTIVATE, kind))
    return machine


@pytest.mark.parametrize("command", [PUT, GRANT, TXN_PUT, TXN_NESTED])
def test_without_space_nothing_can_be_added(command):
    machine = machine_with(rpc.NOSPACE)
    result = machine.apply(command)
    assert isinstance(result, EtcdError)
    assert result.fault == NO_SPACE
    assert machine.space.mvcc.revision == 2


@pytest.mark.parametrize("command", [DELETE, TXN_DELETE, COMPACT])
def test_without_space_room_can_be_made(command):
    assert not isinstance(machine_with(rpc.NOSPACE).apply(command), EtcdError)


@pytest.mark.parametrize("command", [PUT, DELETE, TXN_DELETE, GRANT, REVOKE, COMPACT])
def test_a_corrupt_cluster_does_nothing(command):
    machine = machine_with(rpc.CORRUPT)
    assert machine.apply(command).fault == CORRUPT
    with pytest.raises(EtcdError, match="corrupt cluster"):
        machine.alarms.check_read()


def test_an_alarm_stays_until_each_member_that_raised_it_is_disarmed():
    machine = machine_with(rpc.NOSPACE)
    machine.apply(alarm(rpc.AlarmRequest.ACTIVATE, member=8))
    assert [(m.memberID, m.alarm) for m in machine.alarms.members()] == [(7, rpc.NOSPACE), (8, rpc.NOSPACE)]
    assert machine.alarms.members(rpc.CORRUPT) == []
    machine.apply(alarm(rpc.AlarmRequest.DEACTIVATE))
    assert isinstance(machine.apply(PUT), EtcdError)
    machine.apply(alarm(rpc.AlarmRequest.DEACTIVATE, member=8))
    assert not isinstance(machine.apply(PUT), EtcdError)
    assert rpc.AlarmResponse.FromString(machine.apply(alarm(rpc.AlarmRequest.DEACTIVATE)).body) == rpc.AlarmResponse()


def test_the_cluster_keeps_its_first_id():
    machine = Machine()
    machine.apply(commands.found_cluster(5))
    machine.apply(commands.found_cluster(6))
    assert machine.cluster_id == 5


def test_a_name_that_comes_back_is_another_member():
    machine = Machine()
    for member_id in (1, 2):
        machine.apply(commands.PUBLISH + rpc.Member(ID=member_id, name="s1").SerializeToString())
    assert list(machine.members) == [2]
