"""What is wrong with a request by itself: checked before it is proposed, in etcd's order. Pure."""

from collections.abc import Iterable

from minik8s.store.errors import (
    DUPLICATE_KEY,
    EMPTY_KEY,
    INVALID_SORT,
    KEY_NOT_FOUND,
    LEASE_PROVIDED,
    TOO_MANY_OPERATIONS,
    VALUE_PROVIDED,
    EtcdError,
)
from minik8s.store.mvcc import in_range
from minik8s.wire.etcd import rpc_pb2

Selector = tuple[bytes, bytes]


def check_range(request: rpc_pb2.RangeRequest) -> None:
    """Raises EtcdError, as all below."""
    if not request.key:
        raise EtcdError(EMPTY_KEY)
    if not (0 <= request.sort_order <= 2 and 0 <= request.sort_target <= 4):
        raise EtcdError(INVALID_SORT)


def check_put(request: rpc_pb2.PutRequest) -> None:
    if not request.key:
        raise EtcdError(EMPTY_KEY)
    if request.ignore_value and request.value:
        raise EtcdError(VALUE_PROVIDED)
    if request.ignore_lease and request.lease:
        raise EtcdError(LEASE_PROVIDED)


def check_delete_range(request: rpc_pb2.DeleteRangeRequest) -> None:
    if not request.key:
        raise EtcdError(EMPTY_KEY)


def check_txn(request: rpc_pb2.TxnRequest, operations_max: int) -> None:
    """A nested transaction may spend what its parent's longest list has left of `operations_max`."""
    _check_txn_parts(request, operations_max)
    _claims(request.success)
    _claims(request.failure)


def _check_txn_parts(request: rpc_pb2.TxnRequest, operations_max: int) -> None:
    longest = max(len(request.compare), len(request.success), len(request.failure))
    if longest > operations_max:
        raise EtcdError(TOO_MANY_OPERATIONS)
    if any(not compare.key for compare in request.compare):
        raise EtcdError(EMPTY_KEY)
    for operations in (request.success, request.failure):
        for operation in operations:
            _check_operation(operation, operations_max - longest)


def _check_operation(operation: rpc_pb2.RequestOp, operations_max: int) -> None:
    match operation.WhichOneof("request"):
        case "request_range":
            check_range(operation.request_range)
        case "request_put":
            check_put(operation.request_put)
        case "request_delete_range":
            check_delete_range(operation.request_delete_range)
        case "request_txn":
            _check_txn_parts(operation.request_txn, operations_max)
        case _:
            raise EtcdError(KEY_NOT_FOUND)


def _claims(operations: Iterable[rpc_pb2.RequestOp]) -> tuple[set[bytes], list[Selector]]:
    """The keys put and the ranges deleted by a branch, nested ones included. Raises if a key would change twice.

    As etcd's checkIntervals: the two branches of one nested transaction exclude each other, so both may put a key.
    """
    puts: set[bytes] = set()
    deletes = [
        (operation.request_delete_range.key, operation.request_delete_range.range_end)
        for operation in operations
        if operation.HasField("request_delete_range")
    ]
    for operation in operations:
        if not operation.HasField("request_txn"):
            continue
        then_puts, then_deletes = _claims(operation.request_txn.success)
        else_puts, else_deletes = _claims(operation.request_txn.failure)
        if (then_puts | else_puts) & puts or _deletes_any(deletes, then_puts | else_puts):
            raise EtcdError(DUPLICATE_KEY)
        puts |= then_puts | else_puts
        deletes += then_deletes + else_deletes
    for operation in operations:
        if not operation.HasField("request_put"):
            continue
        key = operation.request_put.key
        if key in puts or _deletes_any(deletes, {key}):
            raise EtcdError(DUPLICATE_KEY)
        puts.add(key)
    return puts, deletes


def _deletes_any(deletes: list[Selector], keys: set[bytes]) -> bool:
    return any(in_range(key, *selector) for selector in deletes for key in keys)
