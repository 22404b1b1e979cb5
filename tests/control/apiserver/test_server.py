"""The apiserver on real sockets: REST and gRPC over TLS, its certificates, its ports, pod logs."""

import asyncio
import contextlib
import json
import random
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from minik8s.api.core_v1 import CONFIGMAPS, NAMESPACES
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.client.transport_grpc import GrpcTransport
from minik8s.control.apiserver.admission.selection import AdmissionConfig
from minik8s.control.apiserver.core import CoreConfig
from minik8s.control.apiserver.server import ApiServer, Config
from minik8s.control.apiserver.watchcache import WatchCacheConfig
from minik8s.kit.clock import SystemClock
from minik8s.kit.run import StartError
from minik8s.kit.tls import Authority, Identity, client_context, server_context
from minik8s.wire.etcd import rpc_pb2 as rpc

from .harness import local_store, running, scenario
from .protobuf_encoder import encode

pytestmark = pytest.mark.slow
GZIPPED_BYTES = 400_000


class World:
    """One apiserver in process, and the certificates around it."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory, "ca")
        self.serving = authority.issue("serving", user="kube-apiserver", hosts=["127.0.0.1"])
        self.admin = authority.issue("admin", user="kubernetes-admin", groups=["system:masters"])
        self.bob = authority.issue("bob", user="bob")
        self.kubelet = authority.issue("kubelet", user="system:node:n1", hosts=["127.0.0.1"])
        self.foreign = Authority(directory / "foreign", "ca").issue("eve", user="eve", groups=["system:masters"])
        no_accounts = CoreConfig(admission=AdmissionConfig(disabled=["ServiceAccount"]))  # Nobody makes any.
        self.config = Config(
            identity=self.serving, secure_port=0, grpc_port=0, kubelet_identity=self.admin, core=no_accounts
        )

    @contextlib.asynccontextmanager
    async def serving_api(self) -> AsyncIterator[ApiServer]:
        async with local_store() as store:
            server = ApiServer(self.config, store, clock=SystemClock(), rng=random.Random(1))
            async with running(server.run()):
                await server.listening.wait()
                while server.core.not_ready():
                    await asyncio.sleep(0.01)
                yield server

    @contextlib.asynccontextmanager
    async def session(
        self, server: ApiServer, identity: Identity | None = None
    ) -> AsyncIterator[aiohttp.ClientSession]:
        context = client_context(identity) if identity else ssl.create_default_context(cafile=str(self.serving.ca_file))
        connector = aiohttp.TCPConnector(ssl=context)
        base = f"https://127.0.0.1:{server.secure_port}"
        async with aiohttp.ClientSession(base, connector=connector, auto_decompress=True) as session:
            yield session

    def grpc(self, server: ApiServer, identity: Identity) -> GrpcTransport:
        return GrpcTransport([f"127.0.0.1:{server.grpc_port}"], identity, timeout_s=5)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@scenario
async def test_a_watch_streams_lines_until_its_timeout(world):
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        path = "/api/v1/namespaces/default/configmaps"
        listed = await (await session.get(path)).json()
        query = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"], "allowWatchBookmarks": "true"}
        async with session.get(path, params=query | {"timeoutSeconds": "1"}) as answer:
            assert answer.headers["Transfer-Encoding"] == "chunked"
            await session.post(path, json={"metadata": {"name": "a"}})
            events = [json.loads(line) async for line in answer.content]
        assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]


@scenario
async def test_a_watch_of_lost_history_says_so_in_its_stream(world):
    world.config = replace(world.config, core=CoreConfig(watch_cache=WatchCacheConfig(history_changes=1)))
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        store = server.core.registry.store
        await store.compact(rpc.CompactionRequest(revision=await server.core.registry.current_revision()))
        async with session.get("/api/v1/namespaces", params={"watch": "1", "resourceVersion": "1"}) as answer:
            event = await answer.json()
        assert (answer.status, event["type"], event["object"]["reason"]) == (200, "ERROR", "Expired")


@scenario
async def test_a_client_that_leaves_takes_its_watch_with_it(world):
    async with world.serving_api() as server:
        watchers = server.core.cache.kind(server.api.find("", "v1", "pods")).watchers
        async with world.session(server, world.admin) as session, session.get("/api/v1/pods", params={"watch": "1"}):
            assert len(watchers.all()) == 1
        while watchers.all():
            await asyncio.sleep(0.01)


@scenario
async def test_large_answers_are_compressed_and_small_ones_are_not(world):
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        path = "/api/v1/namespaces/default/configmaps"
        await session.post(path, json={"metadata": {"name": "a"}, "data": {"x": "y" * GZIPPED_BYTES}})
        large, small = await session.get(path), await session.get("/api/v1/namespaces")
        assert large.headers["Content-Encoding"] == "gzip"
        assert len((await large.json())["items"][0]["data"]["x"]) == GZIPPED_BYTES
        assert "Content-Encoding" not in small.headers


@scenario
async def test_every_answer_has_its_headers(world):
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        body = {"metadata": {"name": "a"}, "nope": 1}
        answer = await session.post("/api/v1/namespaces/default/configmaps", json=body)
        assert answer.status == 201
        assert answer.headers["Warning"] == '299 - "unknown field \\"nope\\""'
        assert len(answer.headers["Audit-Id"]) == 36
        assert answer.headers["Cache-Control"] == "no-cache, private"
        missing = await session.get("/api/v1/pods/x/y/z/w")
        assert (missing.status, "Audit-Id" in missing.headers) == (404, True)


@scenario
async def test_yaml_is_taken_and_other_formats_are_told_what_is(world):
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        path = "/api/v1/namespaces/default/configmaps"
        yaml = {"Content-Type": "application/yaml"}
        answer = await session.post(path, data="metadata: {name: a}\ndata: {x: 'y'}\n", headers=yaml)
        assert (await answer.json())["data"] == {"x": "y"}
        refused = await session.post(path, data=b"\xd9\xd9\xf7", headers={"Content-Type": "application/cbor"})
        assert (refused.status, (await refused.json())["reason"]) == (415, "UnsupportedMediaType")


@scenario
async def test_discovery_is_served_in_its_dialects_and_revalidated(world):
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        wanted = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
        for version in ("v2", "v2beta1"):
            answer = await session.get("/apis", headers={"Accept": wanted.format(version)})
            assert answer.headers["Content-Type"] == wanted.format(version)
            assert (await answer.json())["apiVersion"] == f"apidiscovery.k8s.io/{version}"
        plain = await session.get("/apis")
        assert (await plain.json())["kind"] == "APIGroupList"
        known = {"Accept": wanted.format("v2beta1"), "If-None-Match": answer.headers["ETag"]}
        again = await session.get("/apis", headers=known)
        assert again.status == 304
        index = await (await session.get("/openapi/v3")).json()
        document = await session.get(index["paths"]["apis/apps/v1"]["serverRelativeURL"])
        assert "immutable" in document.headers["Cache-Control"]


@scenario
async def test_a_certificate_of_a_strange_authority_does_not_get_in(world):
    async with world.serving_api() as server:
        trusting = replace(world.foreign, ca_file=world.serving.ca_file)
        with pytest.raises(aiohttp.ClientError):
            async with world.session(server, trusting) as session:
                await session.get("/version")
        transport = world.grpc(server, trusting)
        with pytest.raises(StatusError):
            await Client(transport, field_manager="x").list(NAMESPACES)
        await transport.close()


@scenario
async def test_the_grpc_face_is_the_same_api(world):
    async with world.serving_api() as server:
        transport = world.grpc(server, world.admin)
        client = Client(transport, field_manager="x")
        start = await client.list(CONFIGMAPS)
        stream = await client.watch(CONFIGMAPS, revision=start.revision)
        await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")
        with pytest.raises(StatusError, match='configmaps "a" already exists') as caught:
            await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")
        assert caught.value.reason == "AlreadyExists"
        await stream.request_progress()
        seen = []
        async for event in stream:
            seen.append(event.type)
            if event.type == "BOOKMARK":
                break
        assert seen == ["ADDED", "BOOKMARK"]
        await stream.close()
        await transport.close()


@scenario
async def test_the_grpc_face_knows_its_callers(world):
    async with world.serving_api() as server:
        transport = world.grpc(server, world.bob)
        with pytest.raises(StatusError, match='User "bob" cannot list') as caught:
            await Client(transport, field_manager="x").list(NAMESPACES)
        assert caught.value.code == 403
        stream = await Client(transport, field_manager="x").watch(NAMESPACES, revision=1)
        with pytest.raises(StatusError):
            async for _ in stream:
                pass
        await transport.close()


@scenario
async def test_logs_stream_from_the_pods_kubelet(world):
    asked = []

    async def logs(request: web.Request) -> web.StreamResponse:
        asked.append((request.path_qs, request.get_extra_info("peercert")["subject"][0][0][1]))
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"one\n")
        await asyncio.sleep(0.05)
        await answer.write(b"two\n")
        return answer

    async with world.serving_api() as server, world.session(server, world.admin) as session:
        async with _kubelet(world, logs) as port:
            await _pod_on_node(session, port)
            query = {"follow": "true", "tailLines": "5", "ignored": "x"}
            answer = await session.get("/api/v1/namespaces/default/pods/p/log", params=query)
            assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain")
            assert await answer.text() == "one\ntwo\n"
            assert asked == [("/containerLogs/default/p/c?follow=true&tailLines=5", "kubernetes-admin")]
            wrong = await session.get("/api/v1/namespaces/default/pods/p/log", params={"container": "x"})
            assert (await wrong.json())["message"] == "container x is not valid for pod p"
        gone = await session.get("/api/v1/namespaces/default/pods/p/log")
        assert (gone.status, 'Get "https://127.0.0.1' in (await gone.json())["message"]) == (500, True)


@contextlib.asynccontextmanager
async def _kubelet(world: World, logs) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    runner = web.AppRunner(app)
    await runner.setup()
    context = server_context(world.kubelet, require_client=True)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _pod_on_node(session: aiohttp.ClientSession, port: int) -> None:
    await session.post("/api/v1/nodes", json={"metadata": {"name": "n1"}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    patch = {"Content-Type": "application/merge-patch+json"}
    await session.patch("/api/v1/nodes/n1/status", data=json.dumps({"status": status}), headers=patch)
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await session.post("/api/v1/namespaces/default/pods", json=pod)
    unscheduled = await session.get("/api/v1/namespaces/default/pods/p/log")
    assert (unscheduled.status, await unscheduled.text()) == (200, "")
    bound = await session.post("/api/v1/namespaces/default/pods/p/binding", json={"target": {"name": "n1"}})
    assert bound.status == 201


@pytest.mark.parametrize("port", ["secure_port", "grpc_port"])
@scenario
async def test_a_port_in_use_is_said_plainly(world, port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        async with local_store() as store:
            config = replace(world.config, **{port: number})
            server = ApiServer(config, store, clock=SystemClock(), rng=random.Random(1))
            with pytest.raises(StartError, match=f"cannot listen.* 127.0.0.1:{number}"):
                await server.run()


@scenario
async def test_a_certificate_that_cannot_be_used_is_said_plainly(world):
    world.serving.key_file.write_text("no key")
    async with local_store() as store:
        server = ApiServer(world.config, store, clock=SystemClock(), rng=random.Random(1))
        with pytest.raises(StartError, match="cannot use the certificates"):
            await server.run()


@scenario
async def test_bodies_in_protobuf_are_read_and_answered_in_json(world):
    kind = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    path = "/api/v1/namespaces/default/configmaps"
    body = encode({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"a": "b"}})
    options = encode({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        accept = {"Accept": "application/vnd.kubernetes.protobuf,application/json"}
        async with session.post(path, data=body, headers=kind | accept) as made:
            assert (made.status, made.content_type) == (201, "application/json")
            assert (await made.json())["data"] == {"a": "b"}
        for bad in (b"k8s\0\x0a", body[:-9], b"{}"):
            async with session.post(path, data=bad, headers=kind) as refused:
                assert (refused.status, (await refused.json())["reason"]) == (400, "BadRequest")
        async with session.patch(f"{path}/c", data=body, headers=kind) as refused:
            assert refused.status == 415
        async with session.delete(f"{path}/c", data=options, headers=kind) as gone:
            assert (await gone.json())["status"] == "Success"
