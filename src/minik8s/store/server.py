"""The store's gRPC face: the only file here that knows gRPC. Bytes in, bytes out; `service` does the work.

Errors become statuses in one place, `_abort`. Whatever etcd serves and this store does not answers UNIMPLEMENTED
and says so.
"""

from asyncio import Event, TaskGroup
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message

from minik8s.kit import tls
from minik8s.kit.run import StartError
from minik8s.store import encoding, reflection
from minik8s.store.election import Election
from minik8s.store.errors import AUTH_NOT_ENABLED, STOPPED, EtcdError, Fault, unimplemented
from minik8s.store.lock import Lock
from minik8s.store.maintenance import Maintenance
from minik8s.store.membership import Membership
from minik8s.store.service import Service
from minik8s.store.watch_stream import WatchStream
from minik8s.wire.etcd import election_pb2, lock_pb2, rpc_pb2
from minik8s.wire.grpc import health_pb2, reflection_pb2

Context: TypeAlias = grpc.aio.ServicerContext
Unary = Callable[[bytes, Context], Awaitable[bytes]]
Stream = Callable[[AsyncIterator[bytes], Context], Awaitable[None]]

_RECEIVE_SLACK_BYTES = 512 * 1024  # as etcd, for what surrounds the largest request
_HAS_LEADER = ("hasleader", "true")
_STOP_GRACE_S = 0.5


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where to listen, and how to prove who one is."""

    addresses: Sequence[tuple[str, int]]
    identity: tls.Identity | None = None  # None serves plain text
    require_client_certificate: bool = True


class Server:
    """Listens from `run` until it is cancelled; then open calls get a moment to end."""

    def __init__(self, config: ServerConfig, service: Service) -> None:
        self._config = config
        self._service = service
        self.started = Event()

    async def run(self) -> None:
        """Raises StartError if an address is taken or a certificate is bad."""
        limit_bytes = self._service.config.request_bytes_max + _RECEIVE_SLACK_BYTES
        options = [
            ("grpc.so_reuseport", 0),  # a second server on the port must fail
            ("grpc.max_receive_message_length", limit_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            ("grpc.keepalive_time_ms", 7_200_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            # Requests are small: pings that measure the bandwidth cost a fifth of the CPU of a call.
            ("grpc.http2.bdp_probe", 0),
        ]
        server = grpc.aio.server(handlers=[_Calls(self._service)], options=options)
        self._bind(server)
        await server.start()
        self.started.set()
        try:
            await server.wait_for_termination()
        finally:
            for stream in self._service.streams:
                stream.fail(EtcdError(STOPPED))
            await server.stop(_STOP_GRACE_S)

    def _bind(self, server: grpc.aio.Server) -> None:
        credentials = self._credentials()
        for host, port in self._config.addresses:
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                if credentials:
                    server.add_secure_port(address, credentials)
                else:
                    server.add_insecure_port(address)
            except RuntimeError as error:
                raise StartError(
                    f"cannot listen on {address}: is another process using it? Choose another --listen-client-urls"
                ) from error

    def _credentials(self) -> grpc.ServerCredentials | None:
        identity = self._config.identity
        if not identity:
            return None
        try:
            # gRPC accepts broken files and fails at the first handshake; OpenSSL says at once what is wrong.
            tls.server_context(identity)
            certificate, key, authority = identity.read()
        except OSError as error:
            files = f"{identity.cert_file}, {identity.key_file}, {identity.ca_file}"
            raise StartError(f"cannot use the certificate files {files}: {error}") from error
        return grpc.ssl_server_credentials(
            [(key, certificate)], authority, require_client_auth=self._config.require_client_certificate
        )


class _Calls(grpc.GenericRpcHandler):
    """Finds the handler of a call."""

    def __init__(self, service: Service) -> None:
        streams, lock, election = _Streams(service), Lock(service), Election(service)
        membership, maintenance = Membership(service), Maintenance(service)
        hot = {"Range": service.range, "Put": service.put, "DeleteRange": service.delete_range, "Txn": service.txn}
        cold: dict[str, tuple[type[Message], Callable[[Any], Awaitable[Message]]]] = {
            "etcdserverpb.KV/Compact": (rpc_pb2.CompactionRequest, service.compact),
            "etcdserverpb.Lease/LeaseGrant": (rpc_pb2.LeaseGrantRequest, service.lease_grant),
            "etcdserverpb.Lease/LeaseRevoke": (rpc_pb2.LeaseRevokeRequest, service.lease_revoke),
            "etcdserverpb.Lease/LeaseTimeToLive": (rpc_pb2.LeaseTimeToLiveRequest, service.lease_time_to_live),
            "etcdserverpb.Lease/LeaseLeases": (rpc_pb2.LeaseLeasesRequest, service.lease_leases),
            "etcdserverpb.Cluster/MemberList": (rpc_pb2.MemberListRequest, membership.member_list),
            "etcdserverpb.Cluster/MemberAdd": (rpc_pb2.MemberAddRequest, membership.add),
            "etcdserverpb.Cluster/MemberRemove": (rpc_pb2.MemberRemoveRequest, membership.remove),
            "etcdserverpb.Cluster/MemberUpdate": (rpc_pb2.MemberUpdateRequest, membership.update),
            "etcdserverpb.Cluster/MemberPromote": (rpc_pb2.MemberPromoteRequest, membership.promote),
            "etcdserverpb.Maintenance/Status": (rpc_pb2.StatusRequest, maintenance.status),
            "etcdserverpb.Maintenance/Alarm": (rpc_pb2.AlarmRequest, maintenance.alarm),
            "etcdserverpb.Maintenance/Hash": (rpc_pb2.HashRequest, maintenance.hash),
            "etcdserverpb.Maintenance/HashKV": (rpc_pb2.HashKVRequest, maintenance.hash_kv),
            "etcdserverpb.Maintenance/Defragment": (rpc_pb2.DefragmentRequest, maintenance.defragment),
            "etcdserverpb.Maintenance/MoveLeader": (rpc_pb2.MoveLeaderRequest, maintenance.move_leader),
            "v3lockpb.Lock/Lock": (lock_pb2.LockRequest, lock.lock),
            "v3lockpb.Lock/Unlock": (lock_pb2.UnlockRequest, lock.unlock),
            "v3electionpb.Election/Campaign": (election_pb2.CampaignRequest, election.campaign),
            "v3electionpb.Election/Proclaim": (election_pb2.ProclaimRequest, election.proclaim),
            "v3electionpb.Election/Leader": (election_pb2.LeaderRequest, election.leader),
            "v3electionpb.Election/Resign": (election_pb2.ResignRequest, election.resign),
        }
        self._handlers = {
            "/etcdserverpb.Auth/AuthStatus": _unary(service.auth_status, service),
            "/etcdserverpb.Watch/Watch": _stream(streams.watch, service),
            "/etcdserverpb.Lease/LeaseKeepAlive": _stream(streams.keep_alive, service),
            "/etcdserverpb.Maintenance/Snapshot": _answers(rpc_pb2.SnapshotRequest, maintenance.snapshot, service),
            "/v3electionpb.Election/Observe": _answers(election_pb2.LeaderRequest, election.observe, service),
            "/grpc.health.v1.Health/Check": _unary(_healthy, service),
            "/grpc.health.v1.Health/Watch": _answers(health_pb2.HealthCheckRequest, _healths, service),
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": _stream(streams.reflection, service),
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _stream(streams.reflection, service),
        }
        self._hot = {f"/etcdserverpb.KV/{name}": _plain(call) for name, call in hot.items()}
        for name, call in hot.items():
            self._handlers[f"/etcdserverpb.KV/{name}"] = _unary(call, service)
        for name, (kind, typed_call) in cold.items():
            self._handlers[f"/{name}"] = _unary(_of_bytes(kind, typed_call), service)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method, metadata = handler_call_details.method, handler_call_details.invocation_metadata
        if (handler := self._hot.get(method)) and _HAS_LEADER not in (metadata or ()):
            return handler
        if handler := self._handlers.get(method):
            return handler
        is_auth = method.startswith("/etcdserverpb.Auth/")
        return _refusing(EtcdError(AUTH_NOT_ENABLED) if is_auth else unimplemented(method))


class _Streams:
    """The calls in which both sides stream."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def watch(self, requests: AsyncIterator[bytes], context: Context) -> None:
        stream = self._service.open_watch_stream()
        stream.requires_leader = _wants_leader(context)
        failure: EtcdError | None = None
        try:
            async with TaskGroup() as group:
                reader = group.create_task(self._read(stream, requests))
                try:
                    async for response in stream:
                        await context.write(response)
                except EtcdError as error:
                    failure = error
                reader.cancel()
        finally:
            self._service.close_watch_stream(stream)
        if failure:
            raise failure

    async def _read(self, stream: WatchStream, requests: AsyncIterator[bytes]) -> None:
        """Do what the client asks until it asks no more, which ends the stream."""
        try:
            async for data in requests:
                request = encoding.decode(rpc_pb2.WatchRequest, data)
                match request.WhichOneof("request_union"):
                    case "create_request":
                        stream.create(request.create_request)
                    case "cancel_request":
                        stream.cancel(request.cancel_request.watch_id)
                    case "progress_request":
                        stream.request_progress()
                await stream.drained()
        except EtcdError as error:
            stream.fail(error)
        else:
            stream.close()

    async def keep_alive(self, requests: AsyncIterator[bytes], context: Context) -> None:
        async for data in requests:
            request = encoding.decode(rpc_pb2.LeaseKeepAliveRequest, data)
            response = await self._service.lease_keep_alive(request)
            await context.write(response.SerializeToString())

    async def reflection(self, requests: AsyncIterator[bytes], context: Context) -> None:
        async for data in requests:
            request = encoding.decode(reflection_pb2.ServerReflectionRequest, data)
            await context.write(reflection.answer(request).SerializeToString())


def _unary(call: Callable[[bytes], Awaitable[bytes]], service: Service) -> grpc.RpcMethodHandler:
    async def handle(request: bytes, context: Context) -> bytes:
        try:
            if _wants_leader(context):
                service.require_leader()
            return await call(request)
        except EtcdError as error:
            return await _abort(context, error)

    return grpc.unary_unary_rpc_method_handler(handle)


def _plain(call: Callable[[bytes], Awaitable[bytes]]) -> grpc.RpcMethodHandler:
    """As `_unary`, for calls whose metadata asks nothing: to look at it again costs as much as a small read."""

    async def handle(request: bytes, context: Context) -> bytes:
        try:
            return await call(request)
        except EtcdError as error:
            return await _abort(context, error)

    return grpc.unary_unary_rpc_method_handler(handle)


def _stream(call: Stream, service: Service) -> grpc.RpcMethodHandler:
    async def handle(requests: AsyncIterator[bytes], context: Context) -> None:
        try:
            if _wants_leader(context):
                service.require_leader()
            await call(requests, context)
        except EtcdError as error:
            await _abort(context, error)

    return grpc.stream_stream_rpc_method_handler(handle)


def _answers(
    kind: type[Message], call: Callable[[Any], AsyncGenerator[Message, None]], service: Service
) -> grpc.RpcMethodHandler:
    """One request, a stream of answers."""

    async def stream(requests: AsyncIterator[bytes], context: Context) -> None:
        async for data in requests:
            async with aclosing(call(encoding.decode(kind, data))) as responses:
                async for response in responses:
                    await context.write(response.SerializeToString())
            return

    return _stream(stream, service)


def _of_bytes(kind: type[Message], call: Callable[[Any], Awaitable[Message]]) -> Callable[[bytes], Awaitable[bytes]]:
    async def of_bytes(request: bytes) -> bytes:
        return (await call(encoding.decode(kind, request))).SerializeToString()

    return of_bytes


def _refusing(error: EtcdError) -> grpc.RpcMethodHandler:
    async def handle(requests: AsyncIterator[bytes], context: Context) -> None:
        await _abort(context, error)

    return grpc.stream_stream_rpc_method_handler(handle)


def _health(request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
    """A member that answers is serving; whether it has a leader, `hasleader` and /health ask."""
    known = not request.service or request.service in reflection.SERVICES
    return health_pb2.HealthCheckResponse(status="SERVING" if known else "SERVICE_UNKNOWN")


async def _healthy(data: bytes) -> bytes:
    request = encoding.decode(health_pb2.HealthCheckRequest, data)
    response = _health(request)
    if response.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
        raise EtcdError(Fault("NOT_FOUND", f"unknown service {request.service}"))
    return response.SerializeToString()


async def _healths(request: health_pb2.HealthCheckRequest) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
    """The state, which lasts as long as the server does."""
    yield _health(request)
    await Event().wait()


async def _abort(context: Context, error: EtcdError) -> bytes:
    await context.abort(grpc.StatusCode[error.code], error.text)
    raise AssertionError("abort does not return")


def _wants_leader(context: Context) -> bool:
    """As etcd: the client asks not to be served by a member that has lost its cluster."""
    return _HAS_LEADER in (context.invocation_metadata() or ())
