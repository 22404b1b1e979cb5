"""Clients that record what they ask and hear, as `minik8s.store.verify` reads it."""

import asyncio
import time
from typing import Any, BinaryIO

import grpc

from minik8s.store.verify import history as h
from minik8s.wire.etcd import kv_pb2, rpc_pb2

_CODES = grpc.StatusCode
_DESERVED = {_CODES.INVALID_ARGUMENT, _CODES.OUT_OF_RANGE, _CODES.NOT_FOUND, _CODES.FAILED_PRECONDITION}
_REFUSALS = {"etcdserver: no leader", "etcdserver: too many requests"}
"""Errors after which nothing has happened, nor will."""

_LEASE_TTL_S = 100_000
_COMPARE_FIELDS = {
    "version": "version", "create": "create_revision", "mod": "mod_revision", "value": "value", "lease": "lease"
}  # fmt: skip
_METHODS = {
    h.Range: ("KV/Range", rpc_pb2.RangeResponse),
    h.Put: ("KV/Put", rpc_pb2.PutResponse),
    h.Delete: ("KV/DeleteRange", rpc_pb2.DeleteRangeResponse),
    h.Txn: ("KV/Txn", rpc_pb2.TxnResponse),
    h.Compact: ("KV/Compact", rpc_pb2.CompactionResponse),
    h.Grant: ("Lease/LeaseGrant", rpc_pb2.LeaseGrantResponse),
    h.Revoke: ("Lease/LeaseRevoke", rpc_pb2.LeaseRevokeResponse),
}


class Recorder:
    """Writes a history as it happens, and remembers the newest revision anybody heard of."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.revision = 1
        self.next_revisions: dict[int, int] = {}
        """Where each watcher is to go on."""
        self.last_begun_s = 0.0  # of the acknowledged writes, the one begun last
        self.progress = asyncio.Event()

    def write(self, record: h.Record) -> None:
        self._file.write(h.write_line(record))

    async def call(
        self, client: int, member: str, channel: grpc.aio.Channel, request: h.Request, timeout_s: float
    ) -> h.Answer | None:
        """The answer, None if there was none; recorded unless it tells nothing."""
        method, kind = _METHODS[type(request)]
        invoke = channel.unary_unary(f"/etcdserverpb.{method}", _encode, kind.FromString)
        begin_s = time.monotonic()
        answer, refused = None, ""
        try:
            answer = answer_of(request, await invoke(message(request), timeout=timeout_s))
        except grpc.aio.AioRpcError as error:
            text = error.details() or ""
            if error.code() in _DESERVED:
                answer = h.Answer(error=text)
            elif text in _REFUSALS:
                refused = text
        end_s = time.monotonic()
        if answer or refused or not isinstance(request, h.Range):
            self.write(h.Call(client, member, begin_s, end_s, request, answer, refused))
        if answer and not answer.error:
            self.revision = max(self.revision, answer.revision)
            if not isinstance(request, h.Range) and begin_s > self.last_begun_s:
                self.last_begun_s = begin_s
                self.progress.set()
                self.progress = asyncio.Event()
        return answer

    async def watch(self, watch: h.Watch, channel: grpc.aio.Channel, *, asks_s: float = 0.0) -> None:
        """Watch until the stream ends. The watch is recorded however it ends, and where to go on is noted.

        `asks_s`: how often to ask for progress (0: never).
        """
        call = channel.stream_stream("/etcdserverpb.Watch/Watch", _encode, rpc_pb2.WatchResponse.FromString)()
        replies: list[h.Reply] = []
        asking: asyncio.Task[None] | None = None
        next_revision = watch.start_revision
        try:
            await call.write(rpc_pb2.WatchRequest(create_request=_create(watch)))
            if asks_s:
                asking = asyncio.ensure_future(_ask(call, asks_s))
            while (response := await call.read()) is not grpc.aio.EOF:
                reply = _reply(response)
                replies.append(reply)
                if reply.is_created and not next_revision:
                    next_revision = reply.revision + 1
                if reply.events:
                    next_revision = reply.events[-1].kv.mod_revision + 1
                self.next_revisions[watch.watcher] = next_revision
                if reply.is_cancelled:
                    next_revision = max(next_revision, reply.compact_revision)
                    break
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            pass
        finally:
            if asking:
                asking.cancel()
            call.cancel()
            self.next_revisions[watch.watcher] = next_revision
            if replies:
                fields = {name: getattr(watch, name) for name in watch.__struct_fields__}
                self.write(h.Watch(**fields | {"replies": tuple(replies)}))


async def _ask(call: Any, period_s: float) -> None:
    try:
        while True:
            await asyncio.sleep(period_s)
            await call.write(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
        pass


def message(request: h.Request) -> Any:
    """As etcd's request message."""
    match request:
        case h.Range(key, end, revision, serializable):
            return rpc_pb2.RangeRequest(
                key=_bytes(key), range_end=_bytes(end), revision=revision, serializable=serializable
            )
        case h.Put(key, value, lease):
            return rpc_pb2.PutRequest(key=_bytes(key), value=_bytes(value), lease=lease)
        case h.Delete(key, end):
            return rpc_pb2.DeleteRangeRequest(key=_bytes(key), range_end=_bytes(end))
        case h.Txn(compare, success, failure):
            return rpc_pb2.TxnRequest(
                compare=[_compare(one) for one in compare],
                success=[_operation(one) for one in success],
                failure=[_operation(one) for one in failure],
            )
        case h.Compact(revision):
            return rpc_pb2.CompactionRequest(revision=revision)
        case h.Grant(lease):
            return rpc_pb2.LeaseGrantRequest(ID=lease, TTL=_LEASE_TTL_S)
        case h.Revoke(lease):
            return rpc_pb2.LeaseRevokeRequest(ID=lease)


def answer_of(request: h.Request, response: Any) -> h.Answer:
    """etcd's response as the checker compares it."""
    revision = response.header.revision
    match request:
        case h.Txn(_, success, failure):
            operations = success if response.succeeded else failure
            parts = [getattr(part, part.WhichOneof("response")) for part in response.responses]
            results = tuple(_result(one, part) for one, part in zip(operations, parts, strict=True))
            return h.Answer(revision, results, response.succeeded)
        case h.Range() | h.Put() | h.Delete():
            return h.Answer(revision, (_result(request, response),))
        case _:
            return h.Answer(revision)


def _result(operation: h.Operation, response: Any) -> h.Ranged | h.Deleted | h.Written:
    match operation:
        case h.Range():
            return h.Ranged(tuple(_kv(kv) for kv in response.kvs))
        case h.Delete():
            return h.Deleted(response.deleted)
        case h.Put():
            return h.Written()


def _operation(operation: h.Operation) -> rpc_pb2.RequestOp:
    field = {h.Range: "request_range", h.Put: "request_put", h.Delete: "request_delete_range"}[type(operation)]
    return rpc_pb2.RequestOp(**{field: message(operation)})


def _compare(compare: h.Compare) -> rpc_pb2.Compare:
    value = _bytes(compare.value) if isinstance(compare.value, str) else compare.value
    return rpc_pb2.Compare(
        key=_bytes(compare.key),
        target=compare.target.upper(),
        result=compare.result.upper(),
        **{_COMPARE_FIELDS[compare.target]: value},
    )


def _create(watch: h.Watch) -> rpc_pb2.WatchCreateRequest:
    return rpc_pb2.WatchCreateRequest(
        key=_bytes(watch.key),
        range_end=_bytes(watch.end),
        start_revision=watch.start_revision,
        prev_kv=watch.has_previous,
        progress_notify=True,
        filters=[{"put": 0, "delete": 1}[kind] for kind in watch.without],
    )


def _reply(response: rpc_pb2.WatchResponse) -> h.Reply:
    events = tuple(
        h.Event(
            "delete" if event.type == kv_pb2.Event.DELETE else "put",
            _kv(event.kv),
            _kv(event.prev_kv) if event.HasField("prev_kv") else None,
        )
        for event in response.events
    )
    return h.Reply(
        time.monotonic(),
        response.header.revision,
        events,
        is_created=response.created,
        is_cancelled=response.canceled,
        compact_revision=response.compact_revision,
    )


def _kv(kv: kv_pb2.KeyValue) -> h.KeyValue:
    key, value = kv.key.decode("latin-1"), kv.value.decode("latin-1")
    return h.KeyValue(key, value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def _encode(request: Any) -> bytes:
    return request.SerializeToString()
