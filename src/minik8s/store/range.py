"""Answering a Range request from one state of the keys: pure, request in, encoded answer out (without its header)."""

from collections.abc import Callable
from typing import Any

from minik8s.store import encoding
from minik8s.store.mvcc import Mvcc, Record
from minik8s.wire.etcd import rpc_pb2

_BY_TARGET: dict[int, Callable[[Record], Any]] = {
    rpc_pb2.RangeRequest.KEY: lambda record: record.key,
    rpc_pb2.RangeRequest.VERSION: lambda record: record.version,
    rpc_pb2.RangeRequest.CREATE: lambda record: record.create_revision,
    rpc_pb2.RangeRequest.MOD: lambda record: record.mod_revision,
    rpc_pb2.RangeRequest.VALUE: lambda record: record.value,
}


def answer(mvcc: Mvcc, request: rpc_pb2.RangeRequest) -> bytes:
    """RangeResponse's fields after the header. Raises EtcdError if the revision is not held.

    `count` ignores limit and filters; `more` says that the limit cut what passed the filters.
    """
    if request.count_only:
        return encoding.integer(4, mvcc.count(request.key, request.range_end, revision=request.revision))
    limit = max(request.limit, 0)
    plain = _is_plain(request)
    records, count = mvcc.range(
        request.key, request.range_end, revision=request.revision, limit=limit + 1 if limit and plain else 0
    )
    if not plain:
        records = _filtered(records, request)
    if request.sort_order or request.sort_target:
        records = _sorted(records, request)
    more = bool(limit) and len(records) > limit
    if more:
        del records[limit:]
    kvs = [_without_value(record) if request.keys_only else record.framed for record in records]
    return b"".join(kvs) + encoding.integer(3, more) + encoding.integer(4, count)


def _is_plain(request: rpc_pb2.RangeRequest) -> bool:
    """Whether the limit is pushed into the scan. As etcd also with a target but no order: what is left is sorted."""
    return not (
        request.sort_order
        or request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _filtered(records: list[Record], request: rpc_pb2.RangeRequest) -> list[Record]:
    most = 1 << 63
    min_mod, max_mod = request.min_mod_revision, request.max_mod_revision or most
    min_create, max_create = request.min_create_revision, request.max_create_revision or most
    return [
        record
        for record in records
        if min_mod <= record.mod_revision <= max_mod and min_create <= record.create_revision <= max_create
    ]


def _sorted(records: list[Record], request: rpc_pb2.RangeRequest) -> list[Record]:
    # A target without an order sorts upwards; Python's sort keeps equal records in key order.
    descending = request.sort_order == rpc_pb2.RangeRequest.DESCEND
    return sorted(records, key=_BY_TARGET[request.sort_target], reverse=descending)


def _without_value(record: Record) -> bytes:
    kv = record.key_value()
    kv.ClearField("value")
    return encoding.message(2, kv.SerializeToString())
