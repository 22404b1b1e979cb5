"""The operations of a real apiserver on real sockets: shutdown, audit, health, limits, and formats of answers."""

import asyncio
import contextlib
import json
import random
from dataclasses import replace

import aiohttp
import pytest
import yaml

from minik8s.control.apiserver.audit import policy
from minik8s.control.apiserver.audit.file import FileConfig
from minik8s.control.apiserver.audit.log import AuditConfig
from minik8s.control.apiserver.server import ApiServer
from minik8s.kit.clock import SystemClock

from ..harness import local_core, local_store, scenario
from ..test_server import World

pytestmark = pytest.mark.slow
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@scenario
async def test_a_server_that_is_stopped_lets_go_of_its_clients_and_loses_nothing(world):
    config = replace(world.config, shutdown_delay_s=0.3)
    async with local_store() as store:
        server = ApiServer(config, store, clock=SystemClock(), rng=random.Random(1))
        run = asyncio.ensure_future(server.run())
        await server.listening.wait()
        while server.core.not_ready():
            await asyncio.sleep(0.01)
        async with world.session(server, world.admin) as session:
            query = {"watch": "1", "resourceVersion": "0", "allowWatchBookmarks": "true"}
            watch = await session.get(MAPS, params=query)
            answered = []

            async def write():
                with contextlib.suppress(aiohttp.ClientError):
                    for number in range(10_000):
                        answer = await session.post(MAPS, json={"metadata": {"name": f"c{number}"}})
                        if answer.status == 201:
                            answered.append(f"c{number}")
                        await answer.read()

            writing = asyncio.ensure_future(write())
            await asyncio.sleep(0.1)
            before = len(answered)
            run.cancel()
            await asyncio.sleep(0.1)
            ready = await session.get("/readyz")
            assert ready.status == 500
            assert "[-]shutdown failed: reason withheld" in await ready.text()
            assert (await session.get("/livez")).status == 200
            lines = [json.loads(line) async for line in watch.content]  # Ends without a failure.
            assert lines[-1]["type"] == "BOOKMARK"
            with pytest.raises(asyncio.CancelledError):
                await run
            await writing
            assert len(answered) > before > 0
        async with local_core(store=store, seed=2) as core:
            kind = core.cache.kind(core.api.find("", "v1", "configmaps"))
            names = {entry.name for entry in kind.select("default")}
            assert set(answered) <= names
            # The client of the watch resumes at the other apiserver, without a gap.
            seen = {line["object"]["metadata"]["name"] for line in lines if line["type"] == "ADDED"}
            assert int(lines[-1]["object"]["metadata"]["resourceVersion"]) <= core.cache.revision
            assert seen <= names


@scenario
async def test_the_audit_log_tells_who_did_what_over_either_face(world, tmp_path):
    rules = [{"level": "None", "nonResourceURLs": ["/readyz*"]}, {"level": "RequestResponse"}]
    document = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
    path = tmp_path / "audit.log"
    audit = AuditConfig(policy.parse(document), FileConfig(str(path)))
    world.config = replace(world.config, audit=audit)
    async with world.serving_api() as server:
        async with world.session(server, world.admin) as session:
            answer = await session.post(MAPS, json={"metadata": {"name": "a"}}, headers={"Audit-ID": "chosen"})
            assert answer.headers["Audit-Id"] == "chosen"
            odd = await session.get(MAPS, headers={"Audit-ID": "a b", "User-Agent": "caf\u00e9"})
            assert (odd.status, len(odd.headers["Audit-Id"])) == (200, 36)
            await session.get("/readyz")
            await session.get(MAPS, params={"watch": "1", "timeoutSeconds": "1"})
        async with world.session(server, world.bob) as session:
            assert (await session.get("/api/v1/secrets")).status == 403
        async with world.session(server) as session:
            refused = await session.get("/api/v1/pods", headers={"Authorization": "Bearer wrong"})
            assert refused.status == 401
    events = [json.loads(line) for line in path.read_text().splitlines()]
    created = next(event for event in events if event["auditID"] == "chosen")
    assert created["user"]["username"] == "kubernetes-admin"
    assert created["requestObject"]["metadata"] == {"name": "a"}
    assert created["responseObject"]["metadata"]["uid"]
    codes = {(event["verb"], event["stage"], event["responseStatus"]["code"]) for event in events}
    assert {
        ("watch", "ResponseStarted", 200),
        ("list", "ResponseComplete", 403),
        ("list", "ResponseComplete", 401),
    } <= codes
    assert created["annotations"]["authorization.k8s.io/decision"] == "allow"
    refused = [event["annotations"] for event in events if event["responseStatus"]["code"] == 403]
    assert [each["authorization.k8s.io/decision"] for each in refused] == ["forbid"]
    assert not any("/readyz" in event["requestURI"] for event in events)
    assert "wrong" not in path.read_text()


@scenario
async def test_answers_come_in_yaml_and_never_in_protobuf(world):
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        answer = await session.get("/api/v1/namespaces/default", headers={"Accept": "application/yaml"})
        assert answer.headers["Content-Type"] == "application/yaml"
        assert yaml.safe_load(await answer.text())["metadata"]["name"] == "default"
        missing = await session.get("/api/v1/namespaces/x", headers={"Accept": "application/yaml"})
        assert (missing.status, yaml.safe_load(await missing.text())["reason"]) == (404, "NotFound")
        protobuf = "application/vnd.kubernetes.protobuf"
        both = await session.get("/api/v1/namespaces/default", headers={"Accept": f"{protobuf},application/json"})
        assert both.headers["Content-Type"] == "application/json"
        alone = await session.get("/api/v1/namespaces/default", headers={"Accept": protobuf})
        assert (alone.status, (await alone.json())["reason"]) == (406, "NotAcceptable")
        watch = await session.get(MAPS, params={"watch": "1"}, headers={"Accept": "application/yaml"})
        assert watch.status == 406


@scenario
async def test_health_metrics_and_the_version_are_told(world):
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        await session.post(MAPS, json={"metadata": {"name": "a"}})
        await session.get("/apis/apps/v1/watch/namespaces/default/deployments", params={"timeoutSeconds": "1"})
        verbose = await (await session.get("/readyz", params={"verbose": ""})).text()
        assert verbose == "[+]ping ok\n[+]etcd ok\n[+]shutdown ok\nreadyz check passed\n"
        assert (await session.get("/readyz/etcd")).status == 200
        assert (await session.get("/readyz/nothing")).status == 404
        metrics = await (await session.get("/metrics")).text()
        for name in (
            'apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps"',
            "apiserver_request_duration_seconds_bucket",
            'apiserver_current_inflight_requests{request_kind="readOnly"} 1.0',
            "apiserver_longrunning_requests",
            'etcd_request_duration_seconds_count{operation="create",type="configmaps"} ',
            'apiserver_storage_objects{resource="configmaps"}',
        ):
            assert name in metrics, name
        version = await (await session.get("/version")).json()
        assert version["gitVersion"].startswith("v1.36.")


@scenario
async def test_what_is_deprecated_says_so_with_every_answer(world):
    path = "/api/v1/namespaces/default/endpoints"
    expected = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    async with world.serving_api() as server, world.session(server, world.admin) as session:
        for answer in (
            await session.post(path, json={"metadata": {"name": "a"}}),
            await session.get(f"{path}/a"),
            await session.get(path),
            await session.get(path, params={"watch": "1", "timeoutSeconds": "1"}),
        ):
            assert (answer.ok, answer.headers.getall("Warning")) == (True, [expected])
        assert "Warning" not in (await session.get("/api/v1/namespaces/default/services")).headers
