"""API aggregation over real TLS: an extension server behind a Service answers a group and version of its own."""

import asyncio
import base64
import contextlib
import random
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from control.apiserver.extensions.samples import CRDS, call, define
from control.apiserver.harness import ADMIN, local_store, running, scenario
from minik8s.api.errors import StatusError
from minik8s.control.apiserver.admission.selection import AdmissionConfig
from minik8s.control.apiserver.core import CoreConfig
from minik8s.control.apiserver.server import ApiServer, Config
from minik8s.kit.clock import SystemClock
from minik8s.kit.tls import Authority, client_context, server_context

pytestmark = pytest.mark.slow

APISERVICES = ("apiregistration.k8s.io", "v1", "apiservices")
SERVICES, SLICES = ("", "v1", "services"), ("discovery.k8s.io", "v1", "endpointslices")
FRUITS = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "fruit.example.org/v1",
    "resources": [
        {"name": "fruits", "singularName": "fruit", "namespaced": True, "kind": "Fruit", "verbs": ["get", "list"]},
        {"name": "fruits/status", "singularName": "", "namespaced": True, "kind": "Fruit", "verbs": ["get"]},
    ],
}


class Extension:
    """A server that remembers what it was sent."""

    def __init__(self):
        self.requests = []
        self.port = 0

    async def answer(self, http):
        certificate = http.get_extra_info("peercert") or {}
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
        self.requests.append((http.method, http.path_qs, dict(http.headers), names, await http.read()))
        if http.path == "/apis/fruit.example.org/v1":
            return web.json_response(FRUITS)
        if http.path.endswith("/moved"):
            raise web.HTTPFound("https://127.0.0.1:1/elsewhere")
        return web.json_response({"kind": "Fruit", "metadata": {"name": "apple"}}, headers={"X-Fruit": "yes"})


class Scene:
    """An apiserver, an extension server, and the certificates around them."""

    def __init__(self, directory):
        authority = Authority(directory, "ca")
        self.serving = authority.issue("serving", user="kube-apiserver", hosts=["127.0.0.1"])
        self.admin = authority.issue("admin", user="kubernetes-admin", groups=["system:masters"])
        front = Authority(directory / "front", "front-proxy-ca")
        self.front_proxy = front.issue("front-proxy-client", user="front-proxy-client")
        other = Authority(directory / "extension", "ca")
        own = other.issue("extension", user="extension", hosts=["fruit.shop.svc"])
        self.extension_identity = replace(own, ca_file=self.front_proxy.ca_file)
        self.ca_bundle = base64.b64encode(own.ca_file.read_bytes()).decode()
        self.extension = Extension()

    @contextlib.asynccontextmanager
    async def playing(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.extension.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        context = server_context(self.extension_identity, require_client=True)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        self.extension.port = runner.addresses[0][1]
        admission = AdmissionConfig(disabled=["ServiceAccount"], allow_loopback_endpoints=True)
        core = CoreConfig(admission=admission, has_api_services=True)
        config = Config(
            identity=self.serving, secure_port=0, grpc_port=0, front_proxy_identity=self.front_proxy, core=core
        )
        try:
            async with local_store() as store:
                server = ApiServer(config, store, clock=SystemClock(), rng=random.Random(1))
                async with running(server.run()):
                    await server.listening.wait()
                    while server.core.not_ready():
                        await asyncio.sleep(0.01)
                    yield server
        finally:
            await runner.cleanup()

    @contextlib.asynccontextmanager
    async def session(self, server):
        connector = aiohttp.TCPConnector(ssl=client_context(self.admin))
        base = f"https://127.0.0.1:{server.secure_port}"
        async with aiohttp.ClientSession(base, connector=connector) as session:
            yield session

    async def register(self, server, **spec):
        handler = server.api.as_user(ADMIN)
        await call(handler, "create", ("", "v1", "namespaces"), document={"metadata": {"name": "shop"}})
        service = {"metadata": {"name": "fruit"}, "spec": {"ports": [{"port": 443, "name": "https"}]}}
        await call(handler, "create", SERVICES, namespace="shop", document=service)
        piece = {
            "metadata": {"name": "fruit-1", "labels": {"kubernetes.io/service-name": "fruit"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["127.0.0.1"]}],
            "ports": [{"name": "https", "port": self.extension.port}],
        }
        await call(handler, "create", SLICES, namespace="shop", document=piece)
        document = {
            "metadata": {"name": "v1.fruit.example.org"},
            "spec": {
                "group": "fruit.example.org",
                "version": "v1",
                "service": {"namespace": "shop", "name": "fruit"},
                "caBundle": self.ca_bundle,
                "groupPriorityMinimum": 100,
                "versionPriority": 10,
            }
            | spec,
        }
        await call(handler, "create", APISERVICES, document=document)


async def condition_of(server, name, status):
    """The condition of an APIService, once it has that status."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(StatusError):  # Not registered yet.
                found = await call(server.api.as_user(ADMIN), "get", APISERVICES, name=name)
                for each in found.get("status", {}).get("conditions", ()):
                    if each["status"] == status:
                        return each
            await asyncio.sleep(0.01)


@scenario
async def test_requests_are_answered_by_the_server_behind_the_service(tmp_path):
    scene = Scene(tmp_path)
    async with scene.playing() as server, scene.session(server) as session:
        async with session.get("/apis/fruit.example.org/v1/fruits") as answer:
            assert (answer.status, await answer.text()) == (404, "404 page not found\n")
        await scene.register(server)
        assert (await condition_of(server, "v1.fruit.example.org", "True"))["reason"] == "Passed"
        headers = {"X-Remote-User": "root", "X-Remote-Group": "system:masters", "Authorization": "", "X-Mine": "1"}
        del headers["Authorization"]
        path = "/apis/fruit.example.org/v1/namespaces/a/fruits/apple?pretty=1&a=b"
        async with session.post(path, headers=headers, data=b'{"a":1}') as answer:
            assert (answer.status, answer.headers["X-Fruit"]) == (200, "yes")
            assert (await answer.json())["metadata"]["name"] == "apple"
        method, target, seen, names, body = scene.extension.requests[-1]
        assert (method, target, body) == ("POST", path, b'{"a":1}')
        assert names == ["front-proxy-client"], "it knows us by the front proxy's certificate"
        assert (seen["X-Remote-User"], seen["X-Mine"], seen["Host"]) == ("kubernetes-admin", "1", "fruit.shop.svc")
        asked = len(scene.extension.requests)
        sly = URL("/apis/fruit.example.org/v1/%2e%2e/secret", encoded=True)
        async with session.get(sly) as answer:
            assert (answer.status, len(scene.extension.requests)) == (400, asked)
        async with session.get("/apis/fruit.example.org/v1/moved", allow_redirects=False) as answer:
            assert answer.status == 502
            assert "attempted to redirect" in await answer.text()
        async with session.get("/apis") as answer:
            assert "fruit.example.org" in [group["name"] for group in (await answer.json())["groups"]]
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        async with session.get("/apis", headers={"Accept": accept}) as answer:
            groups = {item["metadata"]["name"]: item for item in (await answer.json())["items"]}
        (version,) = groups["fruit.example.org"]["versions"]
        assert (version["freshness"], version["resources"][0]["resource"]) == ("Current", "fruits")
        assert version["resources"][0]["subresources"][0]["subresource"] == "status"


@scenario
async def test_what_cannot_be_reached_or_trusted_is_unavailable(tmp_path):
    scene = Scene(tmp_path)
    async with scene.playing() as server, scene.session(server) as session:
        await scene.register(server, caBundle=base64.b64encode(scene.serving.ca_file.read_bytes()).decode())
        found = await condition_of(server, "v1.fruit.example.org", "False")
        assert found["reason"] == "FailedDiscoveryCheck"
        async with session.get("/apis/fruit.example.org/v1/fruits") as answer:
            assert answer.status == 503
            assert (await answer.text()).startswith("error trying to reach service: ")
        assert scene.extension.requests == []
        await call(server.api.as_user(ADMIN), "delete", SERVICES, namespace="shop", name="fruit")
        async with session.get("/apis/fruit.example.org/v1/fruits") as answer:
            assert (answer.status, await answer.text()) == (503, "service unavailable\n")


@scenario
async def test_what_is_served_here_has_local_services(tmp_path):
    scene = Scene(tmp_path)
    async with scene.playing() as server:
        found = await condition_of(server, "v1.apps", "True")
        assert (found["reason"], found["message"]) == ("Local", "Local APIServices are always available")
        await define(server.api.as_user(ADMIN))
        assert (await condition_of(server, "v1.example.com", "True"))["reason"] == "Local"
        await call(server.api.as_user(ADMIN), "delete", CRDS, name="gadgets.example.com")
        async with asyncio.timeout(10):
            with contextlib.suppress(StatusError):
                while True:
                    await call(server.api.as_user(ADMIN), "get", APISERVICES, name="v1.example.com")
                    await asyncio.sleep(0.01)
