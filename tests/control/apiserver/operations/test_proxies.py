"""Requests passed on to pods, services and kubelets: who is reached, what is passed, and where nothing may lead."""

import contextlib
import json
from dataclasses import replace

import pytest
from aiohttp import web

from minik8s.api.errors import StatusError
from minik8s.control.apiserver.admission.selection import AdmissionConfig
from minik8s.control.apiserver.core import CoreConfig
from minik8s.control.apiserver.proxies import Proxies, parse_target

from ..harness import scenario
from ..test_server import World, _kubelet

PODS = "/api/v1/namespaces/default/pods"
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", ("http", "web", "")),
        ("web:80", ("http", "web", "80")),
        ("web:http", ("http", "web", "http")),
        ("https:web:", ("https", "web", "")),
        ("https:web:8443", ("https", "web", "8443")),
        (":web:80", ("http", "web", "80")),
    ],
)
def test_a_name_may_hold_scheme_and_port(text, expected):
    target = parse_target(text, "pod")
    assert (target.scheme, target.name, target.port) == expected


@pytest.mark.parametrize("text", ["", ":80", "ftp:web:80", "a:b:c:d", "file::1"])
def test_a_name_that_is_none_is_400(text):
    with pytest.raises(StatusError, match="invalid pod request") as caught:
        parse_target(text, "pod")
    assert caught.value.code == 400


@pytest.mark.parametrize(
    "address", ["", "localhost", "127.0.0.1", "::1", "169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0"]
)
def test_no_status_leads_to_our_own_machine(address):
    proxies = Proxies(None, allows_loopback=False, rng=None)
    with pytest.raises(StatusError, match="address not allowed"):
        proxies._allowed(address)
    assert proxies._allowed("10.1.2.3") == "10.1.2.3"


@contextlib.asynccontextmanager
async def backend():
    """(port, what it was asked) of a program in the cluster."""
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.path_qs, dict(request.headers), await request.text()))
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})
        return web.Response(text=f"hello {request.path}", status=201, headers={"X-Mine": "yes"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    admission = AdmissionConfig(allow_loopback_endpoints=True)
    world.config = replace(world.config, core=CoreConfig(admission=admission))
    return world


async def made(session, path, document):
    answer = await session.post(path, json=document)
    assert answer.status == 201, await answer.text()


@pytest.mark.slow
@scenario
async def test_pods_and_services_answer_through_the_server(world):
    async with backend() as (port, asked), world.serving_api() as server:
        async with world.session(server, world.admin) as session:
            await made(session, "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
            container = {"name": "c", "image": "i", "ports": [{"containerPort": port}]}
            await made(session, PODS, {"metadata": {"name": "p"}, "spec": {"containers": [container]}})
            no_address = await session.get(f"{PODS}/p/proxy/")
            assert (no_address.status, (await no_address.json())["message"]) == (400, "address not allowed")
            status = {"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}}
            await session.patch(f"{PODS}/p/status", data=json.dumps(status), headers=MERGE)
            for name in ("p", f"p:{port}", f"http:p:{port}"):
                answer = await session.get(f"{PODS}/{name}/proxy/a/b%20c?x=1&y=%2F")
                assert (answer.status, await answer.text()) == (201, "hello /a/b c")
                assert answer.headers["X-Mine"] == "yes"
            assert asked[-1][:2] == ("GET", "/a/b%20c?x=1&y=/")
            await session.post(f"{PODS}/p/proxy", data="body", headers={"X-Remote-User": "eve"})
            method, path, headers, body = asked[-1]
            assert (method, path, body) == ("POST", "/", "body")
            assert headers["X-Forwarded-For"] == "127.0.0.1"
            assert not {"Authorization", "X-Remote-User"} & set(headers)
            away = await session.get(f"{PODS}/p/proxy/away", allow_redirects=False)
            assert away.status == 302

            await made(
                session,
                "/api/v1/namespaces/default/services",
                {"metadata": {"name": "s"}, "spec": {"ports": [{"name": "http", "port": 80, "targetPort": port}]}},
            )
            path = "/api/v1/namespaces/default/services/{}/proxy/x"
            nobody = await session.get(path.format("s"))
            assert (nobody.status, (await nobody.json())["message"]) == (503, 'no endpoints available for service "s"')
            slice_ = {
                "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
                "ports": [{"name": "http", "port": port}],
            }
            await made(session, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice_)
            for name in ("s", "s:80", "s:http"):
                assert await (await session.get(path.format(name))).text() == "hello /x"
            assert (await session.get(path.format("s:81"))).status == 503
        async with world.session(server, world.bob) as session:
            before = len(asked)
            assert (await session.get(f"{PODS}/p/proxy/a")).status == 403
            assert len(asked) == before


@pytest.mark.slow
@scenario
async def test_kubelets_answer_through_the_server_at_their_own_port_alone(world):
    async def logs(request: web.Request) -> web.Response:
        return web.Response(text=request.get_extra_info("peercert")["subject"][0][0][1])

    async with (
        world.serving_api() as server,
        world.session(server, world.admin) as session,
        _kubelet(world, logs) as port,
    ):
        await made(session, "/api/v1/nodes", {"metadata": {"name": "n1"}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        await session.patch("/api/v1/nodes/n1/status", data=json.dumps({"status": status}), headers=MERGE)
        answer = await session.get("/api/v1/nodes/n1/proxy/containerLogs/a/b/c")
        assert (answer.status, await answer.text()) == (200, "kubernetes-admin")
        assert (await session.get(f"/api/v1/nodes/n1:{port}/proxy/containerLogs/a/b/c")).status == 200
        assert (await session.get("/api/v1/nodes/n1:22/proxy/")).status == 400
