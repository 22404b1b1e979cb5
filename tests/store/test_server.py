"""The gRPC face: statuses, limits, certificates, streams, and what keeps it from starting."""

import asyncio
import random

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool

from minik8s.kit.clock import SystemClock
from minik8s.kit.run import StartError
from minik8s.kit.tls import Authority, Identity
from minik8s.store.consensus import Immediate
from minik8s.store.machine import Machine
from minik8s.store.server import Server, ServerConfig
from minik8s.store.service import Service, ServiceConfig
from minik8s.wire.etcd import rpc_pb2 as rpc
from minik8s.wire.grpc import health_pb2, reflection_pb2
from store.serving import serving

LARGE = rpc.PutRequest(key=b"a", value=b"x" * (3 << 19)).SerializeToString()
Reflected = reflection_pb2.ServerReflectionRequest
WATCH = "/etcdserverpb.Watch/Watch"


async def call(channel, method: str, request: bytes, metadata=None):
    return await channel.unary_unary(f"/etcdserverpb.{method}")(request, timeout=5, metadata=metadata)


def watch_call(channel, metadata=None):
    stream = channel.stream_stream(WATCH, rpc.WatchRequest.SerializeToString, rpc.WatchResponse.FromString)
    return stream(metadata=metadata)


def create(key: bytes = b"a", **options) -> rpc.WatchRequest:
    return rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=key, **options))


async def refusal(awaitable) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value.code().name, caught.value.details()


@pytest.mark.parametrize(
    ("method", "request_", "expected"),
    [
        ("KV/Put", b"", ("INVALID_ARGUMENT", "etcdserver: key is not provided")),
        ("KV/Put", b"\xff", ("INTERNAL", "grpc: error while unmarshaling request")),
        ("KV/Compact", b"\xff", ("INTERNAL", "grpc: error while unmarshaling request")),
        ("KV/Compact", b"\x08\x09", ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")),
        ("KV/Put", LARGE, ("INVALID_ARGUMENT", "etcdserver: request is too large")),
        ("KV/Put", b"x" * (3 << 20), ("RESOURCE_EXHAUSTED", "")),
        ("Lease/LeaseRevoke", b"\x08\x09", ("NOT_FOUND", "etcdserver: requested lease not found")),
        ("Maintenance/Downgrade", b"", ("UNIMPLEMENTED", "minik8s store: /etcdserverpb.Maintenance/Downgrade is not")),
        ("Auth/AuthEnable", b"", ("FAILED_PRECONDITION", "etcdserver: authentication is not enabled")),
        ("Auth/Authenticate", b"", ("FAILED_PRECONDITION", "etcdserver: authentication is not enabled")),
    ],
)
def test_a_refusal_has_etcds_code_and_text(method, request_, expected):
    async def main() -> None:
        async with serving() as (_, address), grpc.aio.insecure_channel(address) as channel:
            code, text = await refusal(call(channel, method, request_))
            assert code == expected[0]
            assert text.startswith(expected[1])

    asyncio.run(main())


def test_a_watch_stream_ends_well_when_its_client_is_done():
    async def main() -> None:
        async with serving() as (service, address), grpc.aio.insecure_channel(address) as channel:
            stream = watch_call(channel)
            await stream.write(create())
            assert (await stream.read()).created
            await call(channel, "KV/Put", rpc.PutRequest(key=b"a").SerializeToString())
            assert (await stream.read()).events[0].kv.key == b"a"
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF
            assert await stream.code() == grpc.StatusCode.OK
            assert not service.streams
            assert service.hub.watcher_count == 0

    asyncio.run(main())


def test_a_client_that_vanishes_leaves_no_watcher_behind():
    async def main() -> None:
        async with serving() as (service, address):
            async with grpc.aio.insecure_channel(address) as channel:
                stream = watch_call(channel)
                await stream.write(create())
                assert (await stream.read()).created
            async with asyncio.timeout(5):
                while service.streams or service.hub.watcher_count:
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_client_that_does_not_read_holds_up_no_one():
    async def main() -> None:
        async with serving() as (_, address), grpc.aio.insecure_channel(address) as channel:
            lazy, eager = watch_call(channel), watch_call(channel)
            for stream in (lazy, eager):
                await stream.write(create())
                assert (await stream.read()).created
            seen = 0
            for _ in range(20):
                await call(channel, "KV/Put", rpc.PutRequest(key=b"a", value=b"x" * (1 << 20)).SerializeToString())
                while seen < 20 and (response := await asyncio.wait_for(eager.read(), 5)).events:
                    seen += len(response.events)
                    break
            late = 0
            while late < 20:
                late += len((await asyncio.wait_for(lazy.read(), 5)).events)
            assert (seen, late) == (20, 20)

    asyncio.run(main())


@pytest.mark.slow
def test_idle_watchers_are_notified_of_progress_in_their_interval():
    async def main() -> None:
        async with (
            serving(progress_interval_s=0.3) as (_, address),
            grpc.aio.insecure_channel(address) as channel,
        ):
            stream = watch_call(channel)
            await stream.write(create(progress_notify=True))
            assert (await stream.read()).created
            progress = await asyncio.wait_for(stream.read(), 5)
            assert (progress.watch_id, len(progress.events), progress.header.revision) == (0, 0, 1)

    asyncio.run(main())


def test_who_requires_a_leader_is_refused_without_one():
    async def main() -> None:
        async with serving() as (service, address), grpc.aio.insecure_channel(address) as channel:
            service.consensus.leader = None
            wants = [("hasleader", "true")]
            expected = ("UNAVAILABLE", "etcdserver: no leader")
            request = rpc.RangeRequest(key=b"a", serializable=True).SerializeToString()
            assert await refusal(call(channel, "KV/Range", request, wants)) == expected
            assert await refusal(watch_call(channel, wants).read()) == expected
            await call(channel, "KV/Range", request)

    asyncio.run(main())


@pytest.mark.slow
def test_a_watch_that_requires_a_leader_ends_when_it_is_gone_for_long():
    async def main() -> None:
        async with serving() as (service, address), grpc.aio.insecure_channel(address) as channel:
            stream = watch_call(channel, [("hasleader", "true")])
            await stream.write(create())
            assert (await stream.read()).created
            service.consensus.leader = None
            assert await refusal(asyncio.wait_for(stream.read(), 10)) == ("UNAVAILABLE", "etcdserver: no leader")

    asyncio.run(main())


def test_lease_keep_alive_answers_each_request_and_zero_for_a_lost_lease():
    async def main() -> None:
        async with serving() as (_, address), grpc.aio.insecure_channel(address) as channel:
            await call(channel, "Lease/LeaseGrant", rpc.LeaseGrantRequest(ID=7, TTL=60).SerializeToString())
            method = "/etcdserverpb.Lease/LeaseKeepAlive"
            stream = channel.stream_stream(
                method, rpc.LeaseKeepAliveRequest.SerializeToString, rpc.LeaseKeepAliveResponse.FromString
            )()
            answers = []
            for lease_id in (7, 8):
                await stream.write(rpc.LeaseKeepAliveRequest(ID=lease_id))
                answer = await stream.read()
                answers.append((answer.ID, answer.TTL))
            assert answers == [(7, 60), (8, 0)]

    asyncio.run(main())


def test_health_is_served_as_grpc_defines_it():
    async def main() -> None:
        async with serving() as (_, address), grpc.aio.insecure_channel(address) as channel:
            health = "/grpc.health.v1.Health"
            watched = health_pb2.HealthCheckRequest(service="etcdserverpb.KV").SerializeToString()
            for request in (b"", watched):
                assert await channel.unary_unary(f"{health}/Check")(request, timeout=5) == b"\x08\x01"
                stream = channel.unary_stream(f"{health}/Watch")(request)
                assert await stream.read() == b"\x08\x01"
                stream.cancel()
            unknown = health_pb2.HealthCheckRequest(service="x").SerializeToString()
            assert await refusal(channel.unary_unary(f"{health}/Check")(unknown)) == ("NOT_FOUND", "unknown service x")

    asyncio.run(main())


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_describes_every_service(version):
    method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"

    async def main() -> None:
        async with serving() as (_, address), grpc.aio.insecure_channel(address) as channel:
            stream = channel.stream_stream(
                method, Reflected.SerializeToString, reflection_pb2.ServerReflectionResponse.FromString
            )()

            async def ask(**request: str):
                await stream.write(Reflected(**request))
                return await stream.read()

            listed = await ask(list_services="*")
            names = [service.name for service in listed.list_services_response.service]
            assert {"etcdserverpb.KV", "v3lockpb.Lock", "grpc.health.v1.Health"} <= set(names)
            for name in names:
                files = (await ask(file_containing_symbol=name)).file_descriptor_response.file_descriptor_proto
                pool = DescriptorPool()
                for file in reversed(files):
                    pool.AddSerializedFile(file)
                assert pool.FindServiceByName(name).methods
            assert (await ask(file_by_filename="etcd/kv.proto")).file_descriptor_response.file_descriptor_proto
            assert (await ask(file_by_filename="nonsense")).error_response.error_code == 5
            assert (await ask(all_extension_numbers_of_type="x")).error_response.error_code == 12

    asyncio.run(main())


@pytest.mark.parametrize("shown", ["none", "of another authority"])
def test_a_client_without_a_certificate_of_ours_gets_nowhere(shown, tmp_path):
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    identity = ours.issue("server", user="s1", hosts=["127.0.0.1"])
    stranger = theirs.issue("stranger", user="root")

    async def main() -> None:
        async with serving(identity) as (_, address):
            good = grpc.ssl_channel_credentials(*_credentials(ours.issue("client", user="client")))
            async with grpc.aio.secure_channel(address, good) as channel:
                await call(channel, "KV/Put", rpc.PutRequest(key=b"a").SerializeToString())
            pair = (None, None) if shown == "none" else _credentials(stranger)[1:]
            bad = grpc.ssl_channel_credentials(ours.cert_file.read_bytes(), *pair)
            async with grpc.aio.secure_channel(address, bad) as channel:
                code, _ = await refusal(call(channel, "KV/Put", rpc.PutRequest(key=b"a").SerializeToString()))
                assert code == "UNAVAILABLE"

    asyncio.run(main())


def _credentials(identity: Identity) -> tuple[bytes, bytes, bytes]:
    certificate, key, authority = identity.read()
    return authority, key, certificate


def server(port: int, identity: Identity | None = None) -> Server:
    machine = Machine()
    config = ServiceConfig(1, 1)
    service = Service(config, machine, Immediate(machine), clock=SystemClock(), rng=random.Random(1))
    return Server(ServerConfig([("127.0.0.1", port)], identity), service)


def test_a_taken_port_and_a_bad_certificate_are_told_at_start(tmp_path):
    broken = Authority(tmp_path).issue("server", user="s1")
    broken.cert_file.write_text("not a certificate")
    missing = Identity(tmp_path / "a.crt", tmp_path / "a.key", tmp_path / "ca.crt")

    async def main() -> None:
        async with serving() as (_, address):
            port = int(address.rpartition(":")[2])
            with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}"):
                await server(port).run()
        for identity, why in ((broken, "server.crt"), (missing, "No such file")):
            with pytest.raises(StartError, match=why):
                await server(0, identity).run()

    asyncio.run(main())
