"""The client's way over the apiserver's gRPC face (`minik8s.v1.Kubernetes`): what all our components use.

One channel to all apiservers, calls go round. What happens when one dies: its connection is reset, or misses a
keepalive within seconds; a read is tried again elsewhere until its timeout; a write is never sent twice, its caller is
told ServiceUnavailable if it cannot have been sent, Timeout if nobody knows. A watch ends with one of the same two
errors, and its reader opens it again from the revision it has.
"""

import asyncio
import json
from asyncio import sleep
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio

from minik8s.api import errors
from minik8s.api.request import Request, Response, WatchEvent
from minik8s.kit.tls import Identity
from minik8s.wire.minik8s import api_pb2

SERVICE = "minik8s.v1.Kubernetes"
STATUS_METADATA = "minik8s-status-bin"

_METHODS = {
    "get": "Get",
    "list": "List",
    "create": "Create",
    "update": "Update",
    "patch": "Patch",
    "delete": "Delete",
    "deletecollection": "DeleteCollection",
}
_READS = frozenset({"get", "list"})
_RETRY_DELAY_S = 0.1

_OPTIONS: list[tuple[str, Any]] = [
    # A peer that vanished without closing (its machine, or SIGSTOP) is noticed after 2 + 2 s. The server must permit
    # pings this often (grpc.http2.min_ping_interval_without_data_ms). They are answered by gRPC's own thread: a server
    # that is merely busy is not taken for dead.
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 2000),
    # Without this one, gRPC (1.85) waits a minute for the answer whatever the line above says.
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A list has no size limit of its own.
    ("grpc.max_receive_message_length", -1),
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    # Without this, channels of one process to one target share connections, and `close` would not close ours.
    ("grpc.use_local_subchannel_pool", 1),
    # A proxy of the environment is for the internet, not for a cluster's own addresses.
    ("grpc.enable_http_proxy", 0),
]


class GrpcTransport:
    """A Transport to `servers` (HOST:PORT each), authenticated by `identity`. Opens nothing before the first call."""

    def __init__(
        self,
        servers: Sequence[str],
        identity: Identity | None = None,
        *,
        timeout_s: float = 15.0,
        server_name: str = "",
    ) -> None:
        """Without an identity the connection is plain text (tests). `server_name`: what the certificates must say;
        by default the address itself."""
        assert servers
        self._servers = tuple(servers)
        self._identity = identity
        self._timeout_s = timeout_s
        self._server_name = server_name
        self._channel: grpc.aio.Channel | None = None
        self._unary: dict[str, Any] = {}
        self._watch: Any = None

    async def call(self, request: Request) -> Response:
        """One unary call. Raises StatusError: Timeout if the outcome of a write is unknown."""
        self._open()
        message = _request_message(request)
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        while True:
            left_s = deadline_s - asyncio.get_running_loop().time()
            try:
                answer = await self._unary[request.verb](message, timeout=max(left_s, 0.001))
            except grpc.aio.AioRpcError as failure:
                error = _error_of(failure)
                if request.verb not in _READS or not _is_transient(error) or left_s < 2 * _RETRY_DELAY_S:
                    raise error from failure
                await sleep(_RETRY_DELAY_S)
                continue
            return Response(answer.body, answer.revision, answer.code or 200, tuple(answer.warnings))

    async def watch(self, request: Request) -> "GrpcWatch":
        """Open a watch. A refusal may only be told by the stream's first iteration."""
        self._open()
        stream = GrpcWatch(self._watch())
        await stream.send(api_pb2.WatchRequest(open=_request_message(request)))
        return stream

    async def close(self) -> None:
        """Release connections; calls and watches under way are cancelled."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _open(self) -> None:
        """Make the channel; here because grpc.aio binds it to the running loop. Raises OSError."""
        if self._channel is not None:
            return
        target = "ipv4:" + ",".join(self._servers)
        options = [*_OPTIONS, ("grpc.default_authority", self._server_name or self._servers[0].rpartition(":")[0])]
        if self._identity is None:
            self._channel = grpc.aio.insecure_channel(target, options=options)
        else:
            cert, key, ca = self._identity.read()
            credentials = grpc.ssl_channel_credentials(ca, key, cert)
            self._channel = grpc.aio.secure_channel(target, credentials, options=options)
        serialize = api_pb2.Request.SerializeToString
        for verb, method in _METHODS.items():
            self._unary[verb] = self._channel.unary_unary(
                f"/{SERVICE}/{method}", request_serializer=serialize, response_deserializer=api_pb2.Response.FromString
            )
        self._watch = self._channel.stream_stream(
            f"/{SERVICE}/Watch",
            request_serializer=api_pb2.WatchRequest.SerializeToString,
            response_deserializer=api_pb2.WatchEvent.FromString,
        )


class GrpcWatch:
    """One open watch: a WatchStream."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def send(self, message: api_pb2.WatchRequest) -> None:
        """Write to the server. A broken stream is left to the reader to find."""
        try:
            await self._call.write(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # Iterating raises the reason; a writer has nothing to add.
            return

    async def __aiter__(self) -> AsyncIterator[WatchEvent]:
        try:
            async for event in self._call:
                if event.type == "ERROR":
                    raise errors.from_status(json.loads(event.object))
                yield WatchEvent(event.type, event.object, event.revision)
        except grpc.aio.AioRpcError as failure:
            raise _error_of(failure) from failure

    async def request_progress(self) -> None:
        """Ask for a BOOKMARK at the newest revision, now."""
        await self.send(api_pb2.WatchRequest(progress=api_pb2.Progress()))

    async def close(self) -> None:
        """End it; harmless when it has ended."""
        self._call.cancel()


def _request_message(request: Request) -> api_pb2.Request:
    return api_pb2.Request(
        group=request.group,
        version=request.version,
        resource=request.resource,
        namespace=request.namespace,
        name=request.name,
        subresource=request.subresource,
        query=dict(request.query),
        body=request.body,
        content_type=request.content_type,
    )


def _error_of(failure: grpc.aio.AioRpcError) -> errors.StatusError:
    """What the server said; or, of a failure on the way, whether the request can have arrived."""
    for key, value in failure.trailing_metadata() or ():
        if key == STATUS_METADATA:
            return errors.from_status(json.loads(value))
    code, details = failure.code(), failure.details() or ""
    if code == grpc.StatusCode.UNAVAILABLE and _is_unsent(details):
        return errors.service_unavailable(f"the API server cannot be reached: {details}")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        return errors.timeout(f"the API server did not answer: {details}")
    if code == grpc.StatusCode.UNAUTHENTICATED:
        return errors.unauthorized()
    return errors.internal(f"{code.name}: {details}")


def _is_unsent(details: str) -> bool:
    """Whether gRPC failed for want of a connection. Texts it does not know count as sent: the safe side."""
    return "failed to connect to all addresses" in details or "connections to all backends failing" in details


def _is_transient(error: errors.StatusError) -> bool:
    return error.reason in ("ServiceUnavailable", "Timeout")
