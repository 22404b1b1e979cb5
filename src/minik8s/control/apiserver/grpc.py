"""The gRPC face: the service minik8s.v1.Kubernetes over the same handler as REST.

Bodies are JSON bytes in both directions. A StatusError becomes a gRPC code, with its whole Status document in the
trailing metadata. Clients must present a certificate; its subject is the user, as over REST.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import JSON, Request
from minik8s.control.apiserver import authn
from minik8s.control.apiserver.audit.event import Origin
from minik8s.control.apiserver.authn import ANONYMOUS, User
from minik8s.control.apiserver.authn.authenticator import Authenticator
from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.authz.attributes import of_request
from minik8s.control.apiserver.calls import Call, Calls
from minik8s.control.apiserver.handler import Api
from minik8s.control.apiserver.versions import ConvertedWatcher
from minik8s.control.apiserver.watchers import Watcher
from minik8s.kit import ids, tls
from minik8s.kit.clock import Clock
from minik8s.kit.run import StartError
from minik8s.wire.grpc import reflection_pb2
from minik8s.wire.minik8s import api_pb2 as wire
from minik8s.wire.reflection import METHODS as REFLECTION_METHODS
from minik8s.wire.reflection import Reflection

SERVICE = "minik8s.v1.Kubernetes"
STATUS_METADATA = "minik8s-status-bin"
_STOP_GRACE_S = 0.2
_BODY_BYTES_MAX = 3 * 1024 * 1024 + 64 * 1024

_METHODS = {
    "Get": "get",
    "List": "list",
    "Create": "create",
    "Update": "update",
    "Patch": "patch",
    "Delete": "delete",
    "DeleteCollection": "deletecollection",
}
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    409: grpc.StatusCode.ABORTED,
    410: grpc.StatusCode.OUT_OF_RANGE,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_OPTIONS = [
    ("grpc.max_receive_message_length", _BODY_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    # Our clients ping every few seconds to notice a dead server; we ping to notice dead watchers.
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.so_reuseport", 0),  # A second server on the port is an error, not a partner.
]

_encode = msgspec.json.Encoder().encode


class GrpcFace:
    """Serves the API on one port."""

    def __init__(
        self,
        api: Api,
        authenticator: Authenticator,
        calls: Calls,
        address: str,
        identity: tls.Identity | None,
        *,
        clock: Clock,
        rng: random.Random,
        token_address: str = "",
    ) -> None:
        """Without an identity the port is plain text and everybody is the administrator: tests only.

        gRPC cannot ask for a certificate without insisting on one, so who has none, but a token, calls at
        `token_address` (empty: nowhere), whose real port is then `token_port`.
        """
        self.token_port = 0
        self._token_address = token_address
        self._api = api
        self._authenticator = authenticator
        self._calls = calls
        self._address = address
        self._identity = identity
        self._clock = clock
        self._rng = rng
        self._server: Any = None

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve within the block; gives the port. Raises StartError."""
        server = grpc.aio.server(options=_OPTIONS)
        handlers: dict[str, grpc.RpcMethodHandler] = {
            name: grpc.unary_unary_rpc_method_handler(
                self._unary(verb),
                request_deserializer=wire.Request.FromString,
                response_serializer=wire.Response.SerializeToString,
            )
            for name, verb in _METHODS.items()
        }
        handlers["Watch"] = grpc.stream_stream_rpc_method_handler(
            self._watch,
            request_deserializer=wire.WatchRequest.FromString,
            response_serializer=wire.WatchEvent.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers), _reflection()))
        port = self._bind(server)
        await server.start()
        self._server = server
        try:
            yield port
        finally:
            await server.stop(_STOP_GRACE_S)

    async def drain(self, grace_s: float) -> None:
        """Take no more calls, and wait for those under way."""
        if self._server:
            await self._server.stop(grace_s)

    def _bind(self, server: Any) -> int:
        if self._identity is None:
            return _listen(self._address, server.add_insecure_port)
        certificate, key, authority = self._identity.read()
        pairs = [(key, certificate)]
        trusting = grpc.ssl_server_credentials(pairs, root_certificates=authority, require_client_auth=True)
        if self._token_address:
            anybody = grpc.ssl_server_credentials(pairs)
            self.token_port = _listen(self._token_address, server.add_secure_port, anybody)
        return _listen(self._address, server.add_secure_port, trusting)

    def _unary(self, verb: str) -> Callable[[wire.Request, Any], Any]:
        async def call(message: wire.Request, context: Any) -> wire.Response | None:
            request = _request(message, verb, context)
            try:
                async with self._serving(request, context) as (user, serving):
                    serving.received(request)
                    response = await self._api.as_user(user).call(request)
                    serving.answered(response.code, response.body)
            except StatusError as error:
                await _abort(context, error)
                return None
            return wire.Response(
                body=response.body, revision=response.revision, code=response.code, warnings=response.warnings
            )

        return call

    async def _watch(self, messages: AsyncIterator[wire.WatchRequest], context: Any) -> AsyncIterator[wire.WatchEvent]:
        opening = await anext(messages, None)
        if opening is None:
            return
        request = _request(opening.open, "watch", context)
        try:
            async with self._serving(request, context) as (user, _):
                watcher = await self._api.as_user(user).watch(request)
                sent = self._calls.metrics.watch_events.labels(request.group, request.version, request.resource)
                progress = asyncio.ensure_future(_serve_progress(messages, watcher))
                try:
                    async for event in watcher:
                        sent.inc()
                        yield wire.WatchEvent(type=event.type, object=event.object, revision=event.revision)
                except StatusError as error:
                    yield wire.WatchEvent(type="ERROR", object=_encode(error.status()))
                finally:
                    progress.cancel()
                    await watcher.close()
        except StatusError as error:
            await _abort(context, error)

    @contextlib.asynccontextmanager
    async def _serving(self, request: Request, context: Any) -> AsyncIterator[tuple[User, Call]]:
        """What `calls` does around a call, and who makes it. Raises StatusError."""
        address = context.peer().partition(":")[2].rpartition(":")[0].strip("[]")
        origin = Origin(f"/{SERVICE}/{request.verb}", (address,), request.user_agent)
        audit_id = ids.new_uuid(self._rng)
        try:
            user = await self._user(context)
        except StatusError as error:
            self._calls.refused(of_request(ANONYMOUS, request), origin, audit_id, error)
            raise
        async with self._calls.serving(of_request(user, request), request, origin, audit_id) as call:
            yield user, call

    async def _user(self, context: Any) -> User:
        """Who is calling. Raises StatusError Unauthorized; Forbidden if they may not act as whom they say."""
        if self._identity is None:
            return authn.ADMIN
        pem = context.auth_context().get("x509_pem_cert") or [b""]
        headers = [(name, value) for name, value in context.invocation_metadata() or () if isinstance(value, str)]
        return await self._authenticator.authenticate(Credentials(pem[0], headers))


def _listen(address: str, listen: Callable[..., int], *credentials: Any) -> int:
    try:
        return int(listen(address, *credentials))
    except (RuntimeError, OSError) as error:
        raise StartError(f"cannot listen for gRPC on {address}: {error}") from error


def _reflection() -> grpc.GenericRpcHandler:
    """What messages there are is no secret: nobody is asked who they are."""
    reflection = Reflection([wire.DESCRIPTOR])

    async def tell(messages: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for message in messages:
            yield reflection.answer(message)

    handler = grpc.stream_stream_rpc_method_handler(
        tell,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )

    class Handlers(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return handler if details.method in REFLECTION_METHODS else None

    return Handlers()


async def _serve_progress(messages: AsyncIterator[wire.WatchRequest], watcher: Watcher | ConvertedWatcher) -> None:
    """Every message after the first asks for a bookmark."""
    async for _ in messages:
        try:
            await watcher.request_progress()
        except StatusError as error:
            watcher.end(error)  # The store does not answer; the client opens the watch again.


def _request(message: wire.Request, verb: str, context: Any) -> Request:
    headers = dict(context.invocation_metadata() or ())
    return Request(
        verb,
        message.group,
        message.version,
        message.resource,
        message.namespace,
        message.name,
        message.subresource,
        dict(message.query),
        message.body,
        message.content_type or JSON,
        str(headers.get("user-agent", "")),
    )


async def _abort(context: Any, error: StatusError) -> None:
    code = _CODES.get(error.code, grpc.StatusCode.INTERNAL)
    if error.reason == "AlreadyExists":
        code = grpc.StatusCode.ALREADY_EXISTS
    await context.abort(code, error.message, ((STATUS_METADATA, _encode(error.status())),))
