"""Executing the requests that write: Put, DeleteRange and Txn over keys and leases. Pure; `machine` calls it.

A transaction is all or nothing: which branch of every nested one runs is decided, and everything that can fail is
checked, before the first write. Each function returns the answer's fields after its header; `commit` is the caller's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from minik8s.store import encoding
from minik8s.store import range as ranges
from minik8s.store.errors import KEY_NOT_FOUND, EtcdError
from minik8s.store.lease import Leases
from minik8s.store.mvcc import Mvcc, Record
from minik8s.wire.etcd import rpc_pb2


@dataclass(slots=True)
class Keyspace:
    """What requests read and write."""

    mvcc: Mvcc = field(default_factory=Mvcc)
    leases: Leases = field(default_factory=Leases)


@dataclass(slots=True)
class _Path:
    """A transaction with its decided branch, and those of the transactions nested in that branch, in order."""

    succeeded: bool
    operations: list[rpc_pb2.RequestOp]
    nested: list["_Path"]


def put(space: Keyspace, request: rpc_pb2.PutRequest) -> bytes:
    """Raises EtcdError, having written nothing. As etcd, alone a put is told of its lease first, in a txn last."""
    if request.lease:
        space.leases.get(request.lease)
    _check_put(space, request)
    return _put(space, request)


def delete_range(space: Keyspace, request: rpc_pb2.DeleteRangeRequest) -> bytes:
    """Deleting nothing is a success that makes no revision."""
    records, count = space.mvcc.range(request.key, request.range_end)
    for record in records:
        space.leases.move(record.key, old=record.lease, new=0)
        space.mvcc.delete(record.key)
    body = encoding.integer(2, count)
    if request.prev_kv:
        body += b"".join([encoding.reframe(3, record.framed) for record in records])
    return body


def txn(space: Keyspace, request: rpc_pb2.TxnRequest) -> bytes:
    """Raises EtcdError, having written nothing."""
    path = _decide(space.mvcc, request)
    selected = list(_flatten(path))
    for operation in selected:
        if operation.HasField("request_put"):
            _check_put(space, operation.request_put)
    for operation in selected:
        if operation.HasField("request_range"):
            space.mvcc.held_revision(operation.request_range.revision)
    return _run(space, path)


def revoke(space: Keyspace, lease_id: int) -> None:
    """End a lease and delete its keys, in key order. Raises EtcdError if there is none."""
    lease = space.leases.get(lease_id)
    for key in sorted(lease.keys):
        space.mvcc.delete(key)
    space.leases.remove(lease_id)


def is_read_only(request: rpc_pb2.TxnRequest) -> bool:
    """Whether no branch writes: such a transaction is not logged."""
    return all(operation.HasField("request_range") for operation in _operations(request))


def is_serializable(request: rpc_pb2.TxnRequest) -> bool:
    """Whether a read-only transaction may be answered from this member's state as it is."""
    return all(operation.request_range.serializable for operation in _operations(request))


def _operations(request: rpc_pb2.TxnRequest) -> Iterator[rpc_pb2.RequestOp]:
    """All operations of both branches, nested ones in place of the transactions that hold them."""
    for branch in (request.success, request.failure):
        for operation in branch:
            if operation.HasField("request_txn"):
                yield from _operations(operation.request_txn)
            else:
                yield operation


def _decide(mvcc: Mvcc, request: rpc_pb2.TxnRequest) -> _Path:
    succeeded = all(_holds(mvcc, compare) for compare in request.compare)
    operations = list(request.success if succeeded else request.failure)
    nested = [_decide(mvcc, operation.request_txn) for operation in operations if operation.HasField("request_txn")]
    return _Path(succeeded, operations, nested)


def _flatten(path: _Path) -> Iterator[rpc_pb2.RequestOp]:
    nested = iter(path.nested)
    for operation in path.operations:
        if operation.HasField("request_txn"):
            yield from _flatten(next(nested))
        else:
            yield operation


def _run(space: Keyspace, path: _Path) -> bytes:
    nested = iter(path.nested)
    answers = []
    for operation in path.operations:
        kind = operation.WhichOneof("request")
        if kind == "request_range":
            field, body = 1, ranges.answer(space.mvcc, operation.request_range)
        elif kind == "request_put":
            field, body = 2, _put(space, operation.request_put)
        elif kind == "request_delete_range":
            field, body = 3, delete_range(space, operation.request_delete_range)
        else:
            field, body = 4, _run(space, next(nested))
        # As etcd: headers inside carry nothing but the revision seen at that point, that of a transaction not even it.
        header = encoding.message(1, encoding.integer(3, space.mvcc.read_revision) if field != 4 else b"")
        answers.append(encoding.message(field, header + body))
    return encoding.integer(2, path.succeeded) + encoding.messages(3, answers)


def _check_put(space: Keyspace, request: rpc_pb2.PutRequest) -> None:
    if (request.ignore_value or request.ignore_lease) and space.mvcc.get(request.key) is None:
        raise EtcdError(KEY_NOT_FOUND)
    if request.lease:
        space.leases.get(request.lease)


def _put(space: Keyspace, request: rpc_pb2.PutRequest) -> bytes:
    old = space.mvcc.get(request.key)
    old_lease = old.lease if old else 0
    value, lease = request.value, request.lease
    if request.ignore_value and old:
        value = old.value
    if request.ignore_lease:
        lease = old_lease
    space.mvcc.put(request.key, value, lease)
    space.leases.move(request.key, old=old_lease, new=lease)
    return old.framed if request.prev_kv and old else b""


def _holds(mvcc: Mvcc, compare: rpc_pb2.Compare) -> bool:
    if not compare.range_end:
        return _matches(mvcc.get(compare.key), compare)
    records, count = mvcc.range(compare.key, compare.range_end)
    if not count:
        return _matches(None, compare)
    return all(_matches(record, compare) for record in records)


def _matches(record: Record | None, compare: rpc_pb2.Compare) -> bool:
    """An absent key compares as zeros; its value compares as nothing, not even as unequal."""
    actual: int | bytes
    wanted: int | bytes
    match compare.target:
        case rpc_pb2.Compare.VERSION:
            actual, wanted = record.version if record else 0, compare.version
        case rpc_pb2.Compare.CREATE:
            actual, wanted = record.create_revision if record else 0, compare.create_revision
        case rpc_pb2.Compare.MOD:
            actual, wanted = record.mod_revision if record else 0, compare.mod_revision
        case rpc_pb2.Compare.LEASE:
            actual, wanted = record.lease if record else 0, compare.lease
        case rpc_pb2.Compare.VALUE:
            if record is None:
                return False
            actual, wanted = record.value, compare.value
        case _:
            return True
    match compare.result:
        case rpc_pb2.Compare.EQUAL:
            return actual == wanted
        case rpc_pb2.Compare.GREATER:
            return actual > wanted  # type: ignore[operator]  # both are ints or both are bytes
        case rpc_pb2.Compare.LESS:
            return actual < wanted  # type: ignore[operator]
        case rpc_pb2.Compare.NOT_EQUAL:
            return actual != wanted
        case _:
            return True
