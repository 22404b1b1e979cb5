"""The store's gRPC face. Bytes in, bytes out; `service` does the work, `kit.rpc` speaks HTTP/2.

Errors become statuses in one place, `_status`. Whatever etcd serves and this store does not answers UNIMPLEMENTED
and says so.
"""

import ssl
from asyncio import Event, Protocol, TaskGroup
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from minik8s.kit import tls
from minik8s.kit.rpc.call import Call
from minik8s.kit.rpc.headers import Head
from minik8s.kit.rpc.limits import Limits
from minik8s.kit.rpc.methods import Method, Streaming, Unary, refusing
from minik8s.kit.rpc.server import RpcServer
from minik8s.kit.rpc.status import Code, RpcError
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

    async def run(self, over_http: Callable[[], Protocol] | None = None) -> None:
        """`over_http` serves those who speak HTTP/1. Raises StartError if an address is taken or a certificate bad."""
        limits = Limits(message_bytes_max=self._service.config.request_bytes_max + _RECEIVE_SLACK_BYTES)
        server = RpcServer(_Calls(self._service).find, limits, context=self._context(), other=over_http)
        try:
            for host, port in self._config.addresses:
                try:
                    await server.listen(host, port)
                except StartError as error:
                    raise StartError(
                        f"{error}: is another process using it? Choose another --listen-client-urls"
                    ) from error
            self.started.set()
            await Event().wait()
        finally:
            for stream in self._service.streams:
                stream.fail(EtcdError(STOPPED))
            await server.stop(_STOP_GRACE_S)

    def _context(self) -> ssl.SSLContext | None:
        identity = self._config.identity
        if not identity:
            return None
        try:
            return tls.server_context(identity, require_client=self._config.require_client_certificate)
        except OSError as error:
            files = f"{identity.cert_file}, {identity.key_file}, {identity.ca_file}"
            raise StartError(f"cannot use the certificate files {files}: {error}") from error


class _Calls:
    """Finds what serves a call."""

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
        self._methods: dict[str, Method] = {
            "/etcdserverpb.Auth/AuthStatus": _unary(service.auth_status),
            "/etcdserverpb.Watch/Watch": _stream(streams.watch),
            "/etcdserverpb.Lease/LeaseKeepAlive": _stream(streams.keep_alive),
            "/etcdserverpb.Maintenance/Snapshot": _answers(rpc_pb2.SnapshotRequest, maintenance.snapshot),
            "/v3electionpb.Election/Observe": _answers(election_pb2.LeaderRequest, election.observe),
            "/grpc.health.v1.Health/Check": _unary(_healthy),
            "/grpc.health.v1.Health/Watch": _answers(health_pb2.HealthCheckRequest, _healths),
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": _stream(streams.reflection),
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _stream(streams.reflection),
        }
        for name, call in hot.items():
            self._methods[f"/etcdserverpb.KV/{name}"] = _unary(call)
        for name, (kind, typed_call) in cold.items():
            self._methods[f"/{name}"] = _unary(_of_bytes(kind, typed_call))
        self._service = service

    def find(self, head: Head) -> Method:
        """What serves a call with these headers; unknown ones are refused."""
        try:
            if _HAS_LEADER in head.metadata:
                self._service.require_leader()
        except EtcdError as error:
            return refusing(_status(error))
        if method := self._methods.get(head.path):
            return method
        is_auth = head.path.startswith("/etcdserverpb.Auth/")
        return refusing(_status(EtcdError(AUTH_NOT_ENABLED) if is_auth else unimplemented(head.path)))


class _Streams:
    """The calls in which both sides stream."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def watch(self, call: Call) -> None:
        stream = self._service.open_watch_stream()
        stream.requires_leader = _HAS_LEADER in call.metadata
        failure: EtcdError | None = None
        try:
            async with TaskGroup() as group:
                reader = group.create_task(self._read(stream, call.requests))
                try:
                    async for response in stream:
                        await call.write(response)
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

    async def keep_alive(self, call: Call) -> None:
        async for data in call.requests:
            request = encoding.decode(rpc_pb2.LeaseKeepAliveRequest, data)
            response = await self._service.lease_keep_alive(request)
            await call.write(response.SerializeToString())

    async def reflection(self, call: Call) -> None:
        async for data in call.requests:
            request = encoding.decode(reflection_pb2.ServerReflectionRequest, data)
            await call.write(reflection.answer(request).SerializeToString())


def _unary(method: Callable[[bytes], Awaitable[bytes]]) -> Unary:
    async def serve(request: bytes, call: Call) -> bytes:
        try:
            return await method(request)
        except EtcdError as error:
            raise _status(error) from error

    return Unary(serve)


def _stream(method: Callable[[Call], Awaitable[None]]) -> Streaming:
    async def serve(call: Call) -> None:
        try:
            await method(call)
        except EtcdError as error:
            raise _status(error) from error

    return Streaming(serve)


def _answers(kind: type[Message], method: Callable[[Any], AsyncGenerator[Message, None]]) -> Streaming:
    """One request, a stream of answers."""

    async def stream(call: Call) -> None:
        async for data in call.requests:
            async with aclosing(method(encoding.decode(kind, data))) as responses:
                async for response in responses:
                    await call.write(response.SerializeToString())
            return

    return _stream(stream)


def _of_bytes(kind: type[Message], call: Callable[[Any], Awaitable[Message]]) -> Callable[[bytes], Awaitable[bytes]]:
    async def of_bytes(request: bytes) -> bytes:
        return (await call(encoding.decode(kind, request))).SerializeToString()

    return of_bytes


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


def _status(error: EtcdError) -> RpcError:
    return RpcError(Code[error.code], error.text)
