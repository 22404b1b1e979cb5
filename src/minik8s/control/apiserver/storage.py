"""The store as the apiserver sees it: a protocol of a few methods over etcd messages, and its two providers.

`registry`, `watchcache` and `compactor` call it. EtcdStore speaks gRPC to our store or to a real etcd; InProcessStore
wraps the store's own object, for tests and simulation. Failures of both are StoreError.

Policy of EtcdStore: calls go to one endpoint until it fails, then to the next. A read that failed with Unavailable is
tried at every endpoint until the request timeout. A write is sent once: whether it happened is for `registry` to find
out. Only a write that surely never left, for want of a connection, is tried elsewhere.
"""

import asyncio
import contextlib
from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio

from minik8s.kit import tls
from minik8s.kit.log import get_logger
from minik8s.wire.etcd import rpc_pb2 as rpc

log = get_logger(__name__)

UNKNOWN_OUTCOME = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL", "ABORTED"})
"""Codes after which a write may or may not have happened."""

# etcd closes connections that ping more often than every 5 s.
_CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),  # which gRPC otherwise waits a minute for
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # This is also how long a connection may take to be made; TLS on a busy machine takes a while.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 300),
]
_PAUSE_S = 0.05  # after a round of failures


class StoreError(Exception):
    """A failed call of the store: `code` is the gRPC code's name, `text` etcd's message."""

    def __init__(self, code: str, text: str, *, was_sent: bool = True) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.was_sent = was_sent  # False: there was no connection, so nothing happened

    @property
    def is_outcome_unknown(self) -> bool:
        """Whether a write that failed so may have happened."""
        return self.was_sent and self.code in UNKNOWN_OUTCOME

    @property
    def is_compacted(self) -> bool:
        """Whether the revision asked for is older than the store's history."""
        return self.code == "OUT_OF_RANGE" and "compacted" in self.text


class StoreWatch(Protocol):
    """One etcd watch. Iteration ends when the store ends it; raises StoreError when the connection fails."""

    def __aiter__(self) -> AsyncIterator[rpc.WatchResponse]: ...

    async def request_progress(self) -> None: ...

    async def close(self) -> None: ...


class Store(Protocol):
    """etcd's API as far as the apiserver needs it. All methods raise StoreError."""

    async def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse: ...

    async def txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse: ...

    async def compact(self, request: rpc.CompactionRequest) -> rpc.CompactionResponse: ...

    async def lease_grant(self, request: rpc.LeaseGrantRequest) -> rpc.LeaseGrantResponse: ...

    async def status(self) -> rpc.StatusResponse: ...

    def watch(self, request: rpc.WatchCreateRequest) -> StoreWatch: ...

    async def close(self) -> None: ...


class InProcessStore:
    """A store object in this process, whose failures are `failure`: an exception with `code` and `text`."""

    def __init__(self, store: Any, failure: type[Exception]) -> None:
        self._store = store
        self._failure = failure

    async def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        with self._mapped():
            return await self._store.range(request)

    async def txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        with self._mapped():
            return await self._store.txn(request)

    async def compact(self, request: rpc.CompactionRequest) -> rpc.CompactionResponse:
        with self._mapped():
            return await self._store.compact(request)

    async def lease_grant(self, request: rpc.LeaseGrantRequest) -> rpc.LeaseGrantResponse:
        with self._mapped():
            return await self._store.lease_grant(request)

    async def status(self) -> rpc.StatusResponse:
        with self._mapped():
            return await self._store.status()

    def watch(self, request: rpc.WatchCreateRequest) -> StoreWatch:
        with self._mapped():
            return self._store.watch(request)

    async def close(self) -> None:
        """The store belongs to whoever made it."""

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except self._failure as error:
            raise StoreError(getattr(error, "code", "UNKNOWN"), getattr(error, "text", str(error))) from error


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    """How to reach the store."""

    endpoints: tuple[str, ...]  # HOST:PORT
    identity: tls.Identity | None = None  # None: no TLS
    request_timeout_s: float = 10.0  # of one call, all attempts together
    attempt_timeout_s: float = 3.0  # of one attempt of a read at one endpoint


class EtcdStore:
    """The gRPC provider."""

    def __init__(self, config: EtcdConfig) -> None:
        assert config.endpoints
        self._config = config
        self._endpoints: list[_Endpoint] = []
        self._current = 0

    async def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        return await self._read(lambda endpoint: endpoint.range, request)

    async def txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        return await self._write(lambda endpoint: endpoint.txn, request)

    async def compact(self, request: rpc.CompactionRequest) -> rpc.CompactionResponse:
        return await self._write(lambda endpoint: endpoint.compact, request)

    async def lease_grant(self, request: rpc.LeaseGrantRequest) -> rpc.LeaseGrantResponse:
        # A lease granted twice by a retry is one unused lease that expires.
        return await self._read(lambda endpoint: endpoint.lease_grant, request)

    async def status(self) -> rpc.StatusResponse:
        return await self._read(lambda endpoint: endpoint.status, rpc.StatusRequest())

    def watch(self, request: rpc.WatchCreateRequest) -> StoreWatch:
        endpoint = self._endpoint()
        return _EtcdWatch(endpoint, request, on_failure=lambda: self._leave(endpoint))

    async def close(self) -> None:
        for endpoint in self._endpoints:
            await endpoint.channel.close()

    async def _read(self, method: "_Method", request: Any) -> Any:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._config.request_timeout_s
        failures = 0
        while True:
            endpoint = self._endpoint()
            left_s = deadline_s - loop.time()
            try:
                with _mapped():
                    return await method(endpoint)(request, timeout=min(left_s, self._config.attempt_timeout_s))
            except StoreError as error:
                if error.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
                    raise
                if left_s <= 2 * _PAUSE_S:
                    raise
                failures += 1
                self._leave(endpoint)
                await sleep(self._pause_s(failures))

    async def _write(self, method: "_Method", request: Any) -> Any:
        """Sent once; until there is a connection, nothing is sent."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._config.request_timeout_s
        failures = 0
        while True:
            endpoint = self._endpoint()
            try:
                with _mapped():
                    return await method(endpoint)(request, timeout=self._config.request_timeout_s)
            except StoreError as error:
                if error.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                    self._leave(endpoint)
                if error.was_sent or loop.time() > deadline_s:
                    raise
                failures += 1
                await sleep(self._pause_s(failures))

    def _pause_s(self, failures: int) -> float:
        """None before the next endpoint; a short one when all have failed."""
        return 0.0 if failures % len(self._endpoints) else _PAUSE_S

    def _endpoint(self) -> "_Endpoint":
        if not self._endpoints:
            # Channels belong to the running loop, so they are made on first use, not in the constructor.
            self._endpoints = [_Endpoint(address, self._config.identity) for address in self._config.endpoints]
        return self._endpoints[self._current]

    def _leave(self, endpoint: "_Endpoint") -> None:
        """Go on with the next endpoint, unless another call already did."""
        if self._endpoints[self._current] is endpoint and len(self._endpoints) > 1:
            self._current = (self._current + 1) % len(self._endpoints)
            log.info("store endpoint changed", left=endpoint.address, now=self._endpoints[self._current].address)


class _Endpoint:
    """One channel and its methods."""

    def __init__(self, address: str, identity: tls.Identity | None) -> None:
        self.address = address
        if identity:
            certificate, key, authority = identity.read()
            credentials = grpc.ssl_channel_credentials(authority, key, certificate)
            self.channel = grpc.aio.secure_channel(address, credentials, _CHANNEL_OPTIONS)
        else:
            self.channel = grpc.aio.insecure_channel(address, _CHANNEL_OPTIONS)
        self.range = self._unary("KV/Range", rpc.RangeRequest, rpc.RangeResponse)
        self.txn = self._unary("KV/Txn", rpc.TxnRequest, rpc.TxnResponse)
        self.compact = self._unary("KV/Compact", rpc.CompactionRequest, rpc.CompactionResponse)
        self.lease_grant = self._unary("Lease/LeaseGrant", rpc.LeaseGrantRequest, rpc.LeaseGrantResponse)
        self.status = self._unary("Maintenance/Status", rpc.StatusRequest, rpc.StatusResponse)
        self.watch = self.channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=rpc.WatchRequest.SerializeToString,
            response_deserializer=rpc.WatchResponse.FromString,
        )

    def _unary(self, name: str, request: Any, response: Any) -> Any:
        return self.channel.unary_unary(
            f"/etcdserverpb.{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )


_Method = Callable[[_Endpoint], Any]


class _EtcdWatch:
    """A stream with one watch on it; a stream without a leader is ended by the store (`hasleader`)."""

    def __init__(self, endpoint: _Endpoint, request: rpc.WatchCreateRequest, on_failure: Callable[[], None]) -> None:
        self._on_failure = on_failure
        self._call = endpoint.watch(metadata=(("hasleader", "true"),))
        self._create = request

    async def __aiter__(self) -> AsyncIterator[rpc.WatchResponse]:
        try:
            with _mapped():
                await self._call.write(rpc.WatchRequest(create_request=self._create))
                while True:
                    response = await self._call.read()
                    if response is grpc.aio.EOF:
                        break
                    yield response
                # The end of a stream tells in its code whether it failed.
                code, text = await self._call.code(), await self._call.details()
                if code is not grpc.StatusCode.OK:
                    raise StoreError(code.name, text or "")
        except StoreError:
            self._on_failure()
            raise

    async def request_progress(self) -> None:
        with _mapped():
            await self._call.write(rpc.WatchRequest(progress_request=rpc.WatchProgressRequest()))

    async def close(self) -> None:
        self._call.cancel()


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        code, text = error.code().name, error.details() or ""
        raise StoreError(code, text, was_sent=not _was_never_sent(code, text)) from error
    except asyncio.InvalidStateError as error:  # what grpc.aio raises for a write to a call that has ended
        raise StoreError("UNAVAILABLE", "the watch stream has ended") from error


def _was_never_sent(code: str, text: str) -> bool:
    """Whether gRPC failed before it had a connection. The wording is gRPC core's; a test pins it."""
    return code == "UNAVAILABLE" and text.startswith("failed to connect to all addresses")


def parse_endpoints(urls: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """(HOST:PORT of each, whether they use TLS) of etcd's client URLs. Raises ValueError with what is wrong."""
    if not urls:
        raise ValueError("no store endpoint is given")
    schemes = {url.partition("://")[0] for url in urls}
    if schemes - {"http", "https"}:
        raise ValueError(f"store endpoints are URLs such as https://127.0.0.1:2379, not {', '.join(urls)}")
    if len(schemes) > 1:
        raise ValueError("store endpoints must be all http or all https")
    return tuple(url.partition("://")[2].rstrip("/") for url in urls), schemes == {"https"}
