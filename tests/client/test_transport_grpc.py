"""The gRPC transport against the apiserver's gRPC face, on real sockets with TLS."""

import asyncio
import contextlib
import random

import pytest
from control.apiserver.harness import local_api
from prometheus_client import CollectorRegistry

from minik8s.api.core_v1 import CONFIGMAPS, PODS
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.client.transport_grpc import GrpcTransport
from minik8s.control.apiserver.authn.authenticator import Authenticator
from minik8s.control.apiserver.authn.certificates import CertificateReader
from minik8s.control.apiserver.authn.tokenfile import TokenFile
from minik8s.control.apiserver.authn.users import User
from minik8s.control.apiserver.calls import Calls, CallsConfig
from minik8s.control.apiserver.grpc import GrpcFace
from minik8s.control.apiserver.metrics import Metrics
from minik8s.kit.clock import SystemClock
from minik8s.kit.tls import Authority

pytestmark = pytest.mark.slow
TOKENS = TokenFile(((b"open-sesame", User("kubernetes-admin", ("system:masters",))),))


@contextlib.asynccontextmanager
async def faces(directory, count=2, with_tokens=False):
    """One API behind `count` gRPC ports: (servers, an ExitStack per server, the admin's identity)."""
    authority = Authority(directory)
    server = authority.issue("server", user="kube-apiserver", hosts=["127.0.0.1"])
    admin = authority.issue("admin", user="kubernetes-admin", groups=["system:masters"])
    async with local_api() as api:
        servers, stacks = [], []
        for _ in range(count):
            stack = contextlib.AsyncExitStack()
            face = GrpcFace(
                api,
                Authenticator(SystemClock(), tokens=[TOKENS], certificates=CertificateReader(SystemClock())),
                Calls(CallsConfig(), Metrics(CollectorRegistry(), lambda *place: True), clock=SystemClock()),
                "127.0.0.1:0",
                server,
                clock=SystemClock(),
                rng=random.Random(1),
                token_address="127.0.0.1:0" if with_tokens else "",
            )
            port = await stack.enter_async_context(face.serving())
            servers.append(f"127.0.0.1:{face.token_port if with_tokens else port}")
            stacks.append(stack)
        try:
            yield api, servers, stacks, admin
        finally:
            for stack in stacks:
                await stack.aclose()


def test_calls_and_watches_go_through_and_failures_keep_their_status(tmp_path):
    async def main():
        async with faces(tmp_path) as (_, servers, _, admin):
            transport = GrpcTransport(servers, admin)
            client = Client(transport, field_manager="test")
            made = await client.create(CONFIGMAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}}, namespace="default")
            assert (await client.get(CONFIGMAPS, "a", namespace="default")) == made
            with pytest.raises(StatusError) as caught:
                await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")
            assert (caught.value.reason, caught.value.code) == ("AlreadyExists", 409)
            assert caught.value.message == 'configmaps "a" already exists'
            with pytest.raises(StatusError) as caught:
                await client.create(PODS, {"metadata": {"name": "p"}, "spec": {"containers": []}}, namespace="default")
            assert caught.value.reason == "Invalid" and caught.value.causes[0].field == "spec.containers"

            revision = int(made.metadata.resourceVersion)
            stream = await client.watch(CONFIGMAPS, namespace="default", revision=revision)
            events = aiter(stream)
            await client.patch(CONFIGMAPS, "a", {"data": {"k": "w"}}, namespace="default")
            async with asyncio.timeout(5):
                assert (await anext(events)).type == "MODIFIED"
                other = await client.create(PODS, _pod(), namespace="default")
                while True:
                    await stream.request_progress()
                    event = await anext(events)
                    assert event.type == "BOOKMARK"
                    if event.revision >= int(other.metadata.resourceVersion):
                        break
                deleted = await client.delete(CONFIGMAPS, "a", namespace="default")
                event = await anext(events)
                while event.type == "BOOKMARK":
                    event = await anext(events)
                assert (event.type, event.revision) == ("DELETED", deleted)
            await stream.close()
            await transport.close()

    asyncio.run(main())


def test_reads_go_on_and_writes_tell_the_truth_when_servers_die(tmp_path):
    async def main():
        async with faces(tmp_path) as (_, servers, stacks, admin):
            transport = GrpcTransport(servers, admin, timeout_s=2)
            client = Client(transport, field_manager="test")
            await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")
            stream = await client.watch(CONFIGMAPS, namespace="default", revision=1)
            async with asyncio.timeout(5):
                await anext(aiter(stream))
            await stacks[0].aclose()
            for _ in range(20):
                await client.get(CONFIGMAPS, "a", namespace="default")
            await stacks[1].aclose()
            with pytest.raises(StatusError) as caught:
                async with asyncio.timeout(5):
                    async for _ in stream:
                        pass
            assert caught.value.reason in ("Timeout", "ServiceUnavailable")
            with pytest.raises(StatusError) as caught:
                await client.create(CONFIGMAPS, {"metadata": {"name": "b"}}, namespace="default")
            assert caught.value.reason == "ServiceUnavailable"
            with pytest.raises(StatusError) as caught:
                await client.get(CONFIGMAPS, "a", namespace="default")
            assert caught.value.reason == "ServiceUnavailable"
            assert "cannot be reached" in caught.value.message
            await transport.close()

    asyncio.run(main())


@pytest.mark.parametrize("wrong", ["stranger", "server name"])
def test_a_wrong_certificate_is_refused_and_nothing_is_sent(tmp_path, wrong):
    async def main():
        async with faces(tmp_path / "ours") as (_, servers, _, admin):
            stranger = Authority(tmp_path / "theirs").issue("me", user="kubernetes-admin", groups=["system:masters"])
            name = "example.com" if wrong == "server name" else ""
            identity = admin if wrong == "server name" else stranger
            transport = GrpcTransport(servers, identity, timeout_s=1, server_name=name)
            with pytest.raises(StatusError) as caught:
                await Client(transport, field_manager="t").create(
                    CONFIGMAPS, {"metadata": {"name": "b"}}, namespace="x"
                )
            assert caught.value.reason == "ServiceUnavailable"
            await transport.close()

    asyncio.run(main())


class Wire:
    """A TCP connection's path that can be cut without either end being told."""

    def __init__(self, port):
        self._port = port
        self.is_cut = False
        self._tasks = set()

    async def listen(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, other_writer), (other_reader, writer)):
            self._tasks.add(asyncio.ensure_future(self._pump(source, sink)))

    async def _pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if not self.is_cut:
                    sink.write(data)

    def close(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()


def test_a_server_that_falls_silent_is_noticed_by_its_watchers_and_reads_go_elsewhere(tmp_path):
    async def main():
        async with faces(tmp_path) as (_, servers, _, admin):
            wires = [Wire(int(server.rpartition(":")[2])) for server in servers]
            transport = GrpcTransport([f"127.0.0.1:{await wire.listen()}" for wire in wires], admin)
            client = Client(transport, field_manager="test")
            await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")
            streams = [await client.watch(CONFIGMAPS, namespace="default", revision=1) for _ in range(4)]
            readers = [asyncio.ensure_future(_drain(stream)) for stream in streams]
            await asyncio.sleep(0.2)
            wires[0].is_cut = True
            async with asyncio.timeout(10):
                # Round robin: half of the watches are on the silent server.
                done, _ = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
                assert all(task.result() in ("Timeout", "ServiceUnavailable") for task in done)
                for _ in range(4):
                    await client.get(CONFIGMAPS, "a", namespace="default")
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            await transport.close()
            for wire in wires:
                wire.close()

    asyncio.run(main())


async def _drain(stream):
    try:
        async for _ in stream:
            pass
    except StatusError as error:
        return error.reason
    return "ended"


def _pod():
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
