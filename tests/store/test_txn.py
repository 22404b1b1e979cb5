"""Transactions: what is refused, which branch runs, what it sees and leaves."""

import pytest

from minik8s.store import checks, txn
from minik8s.store.errors import (
    DUPLICATE_KEY,
    EMPTY_KEY,
    FUTURE_REVISION,
    INVALID_SORT,
    KEY_NOT_FOUND,
    LEASE_NOT_FOUND,
    LEASE_PROVIDED,
    TOO_MANY_OPERATIONS,
    VALUE_PROVIDED,
    EtcdError,
)
from minik8s.store.txn import Keyspace
from minik8s.wire.etcd import rpc_pb2 as rpc


def put(key: str, value: str = "", **options) -> rpc.RequestOp:
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key.encode(), value=value.encode(), **options))


def delete(key: str, end: str = "") -> rpc.RequestOp:
    return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key.encode(), range_end=end.encode()))


def get(key: str, **options) -> rpc.RequestOp:
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode(), **options))


def nested(then=(), otherwise=(), compare=()) -> rpc.RequestOp:
    return rpc.RequestOp(request_txn=rpc.TxnRequest(compare=compare, success=then, failure=otherwise))


def compare(key: str, target: int, result: int = rpc.Compare.EQUAL, **wanted) -> rpc.Compare:
    return rpc.Compare(key=key.encode(), target=target, result=result, **wanted)


def space_with(**values: str) -> Keyspace:
    space = Keyspace()
    for key, value in values.items():
        txn.put(space, rpc.PutRequest(key=key.encode(), value=value.encode()))
        space.mvcc.commit()
    return space


def run(space: Keyspace, request: rpc.TxnRequest) -> rpc.TxnResponse:
    answer = rpc.TxnResponse.FromString(txn.txn(space, request))
    space.mvcc.commit()
    return answer


@pytest.mark.parametrize(
    ("operations", "fault"),
    [
        ([put("a"), put("a")], DUPLICATE_KEY),
        ([put("a"), delete("a")], DUPLICATE_KEY),
        ([put("b"), delete("a", "c")], DUPLICATE_KEY),
        ([put("b"), delete("a", "\0")], DUPLICATE_KEY),
        ([delete("a", "c"), delete("b")], None),
        ([put("a"), nested([put("a")])], DUPLICATE_KEY),
        ([nested([put("a")]), nested([], [put("a")])], DUPLICATE_KEY),
        ([nested([put("a")], [put("a")])], None),
        ([nested([nested([put("a")])]), delete("a")], DUPLICATE_KEY),
        ([put("")], EMPTY_KEY),
        ([get("")], EMPTY_KEY),
        ([delete("")], EMPTY_KEY),
        ([get("a", sort_order=7)], INVALID_SORT),
        ([put("a", "x", ignore_value=True)], VALUE_PROVIDED),
        ([put("a", lease=7, ignore_lease=True)], LEASE_PROVIDED),
        ([rpc.RequestOp()], KEY_NOT_FOUND),
        ([get("a")] * 5, TOO_MANY_OPERATIONS),
        ([nested([get("a")] * 3), get("b")], TOO_MANY_OPERATIONS),
        ([nested([get("a")] * 2), get("b")], None),
    ],
)
@pytest.mark.parametrize("branch", ["success", "failure"])
def test_a_request_is_checked_in_both_branches(operations, fault, branch):
    request = rpc.TxnRequest(**{branch: operations})
    if fault is None:
        checks.check_txn(request, operations_max=4)
        return
    with pytest.raises(EtcdError) as caught:
        checks.check_txn(request, operations_max=4)
    assert caught.value.fault == fault


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (compare("a", rpc.Compare.VERSION, version=1), True),
        (compare("a", rpc.Compare.MOD, mod_revision=2), True),
        (compare("a", rpc.Compare.MOD, rpc.Compare.GREATER, mod_revision=1), True),
        (compare("a", rpc.Compare.MOD, rpc.Compare.LESS, mod_revision=2), False),
        (compare("a", rpc.Compare.CREATE, rpc.Compare.NOT_EQUAL, create_revision=2), False),
        (compare("a", rpc.Compare.VALUE, value=b"1"), True),
        (compare("a", rpc.Compare.VALUE, rpc.Compare.LESS, value=b"2"), True),
        (compare("a", rpc.Compare.LEASE, lease=0), True),
        (compare("x", rpc.Compare.VERSION), True),
        (compare("x", rpc.Compare.MOD, mod_revision=0), True),
        (compare("x", rpc.Compare.VALUE, rpc.Compare.NOT_EQUAL, value=b"1"), False),
        (compare("a", rpc.Compare.VERSION, version=1, range_end=b"c"), True),
        (compare("a", rpc.Compare.MOD, mod_revision=2, range_end=b"c"), False),
        (compare("x", rpc.Compare.VERSION, version=0, range_end=b"z"), True),
    ],
)
def test_a_comparison_decides(condition, expected):
    space = space_with(a="1", b="2")
    assert run(space, rpc.TxnRequest(compare=[condition])).succeeded is expected


def test_reads_see_the_writes_before_them_at_the_coming_revision():
    space = space_with(a="1")
    answer = run(space, rpc.TxnRequest(success=[get("a"), put("a", "2"), get("a")]))
    before, _, after = answer.responses
    assert (before.response_range.kvs[0].value, before.response_range.header.revision) == (b"1", 2)
    assert (after.response_range.kvs[0].value, after.response_range.kvs[0].mod_revision) == (b"2", 3)
    assert after.response_range.header.revision == 3


def test_branches_are_decided_before_the_first_write():
    space = space_with(a="1")
    absent = compare("new", rpc.Compare.VERSION, version=0)
    request = rpc.TxnRequest(success=[put("new", "x"), nested([put("then")], [put("else")], [absent])])
    answer = run(space, request)
    assert answer.responses[1].response_txn.succeeded
    assert space.mvcc.get(b"then")
    assert space.mvcc.revision == 3


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        (put("b", lease=7), LEASE_NOT_FOUND),
        (put("x", ignore_value=True), KEY_NOT_FOUND),
        (put("x", ignore_lease=True), KEY_NOT_FOUND),
        (get("a", revision=9), FUTURE_REVISION),
    ],
)
def test_a_refused_operation_leaves_nothing_of_its_transaction(operation, fault):
    space = space_with(a="1")
    with pytest.raises(EtcdError) as caught:
        run(space, rpc.TxnRequest(success=[put("c", "1"), nested([operation])]))
    assert caught.value.fault == fault
    assert not space.mvcc.commit()
    assert space.mvcc.get(b"c") is None


def test_the_branch_not_taken_is_not_validated_against_the_state():
    space = space_with(a="1")
    assert run(space, rpc.TxnRequest(success=[put("b")], failure=[put("c", lease=7)])).succeeded


def test_ignore_value_and_ignore_lease_keep_what_was_there():
    space = space_with(a="1")
    space.leases.grant(7, 60)
    run(space, rpc.TxnRequest(success=[put("a", ignore_value=True, lease=7)]))
    assert (space.mvcc.get(b"a").value, space.mvcc.get(b"a").lease) == (b"1", 7)
    run(space, rpc.TxnRequest(success=[put("a", "2", ignore_lease=True)]))
    assert (space.mvcc.get(b"a").value, space.mvcc.get(b"a").lease) == (b"2", 7)
    assert space.leases.get(7).keys == {b"a"}


def test_a_key_hangs_on_its_last_lease_only():
    space = space_with()
    for lease in (7, 8):
        space.leases.grant(lease, 60)
    run(space, rpc.TxnRequest(success=[put("a", lease=7), put("b", lease=7)]))
    run(space, rpc.TxnRequest(success=[put("a", lease=8)]))
    run(space, rpc.TxnRequest(success=[delete("b")]))
    assert (space.leases.get(7).keys, space.leases.get(8).keys) == (set(), {b"a"})
    txn.revoke(space, 8)
    assert space.mvcc.commit()
    assert space.mvcc.get(b"a") is None


@pytest.mark.parametrize(
    ("request_", "read_only", "serializable"),
    [
        (rpc.TxnRequest(), True, True),
        (rpc.TxnRequest(success=[get("a", serializable=True)]), True, True),
        (rpc.TxnRequest(success=[get("a")]), True, False),
        (rpc.TxnRequest(success=[nested([get("a")], [put("b")])]), False, False),
        (rpc.TxnRequest(failure=[delete("a")]), False, False),
    ],
)
def test_only_what_cannot_write_is_read_only(request_, read_only, serializable):
    assert txn.is_read_only(request_) is read_only
    if read_only:
        assert txn.is_serializable(request_) is serializable
