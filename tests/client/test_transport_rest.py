"""The REST transport: paths by table, and the same client as over gRPC against an API server's HTTPS port."""

import asyncio
import contextlib
import random

import pytest
from control.apiserver.harness import local_store, running

from minik8s.api.core_v1 import CONFIGMAPS, NODES
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.client.client import Client
from minik8s.client.informer import Informer
from minik8s.client.transport_rest import RestTransport, path_of
from minik8s.control.apiserver.server import ApiServer, Config
from minik8s.kit.clock import SystemClock
from minik8s.kit.tls import Authority, client_context


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (Request("list", "", "v1", "pods"), "/api/v1/pods"),
        (Request("get", "", "v1", "pods", "d", "web"), "/api/v1/namespaces/d/pods/web"),
        (Request("create", "", "v1", "pods", "d", "web", "binding"), "/api/v1/namespaces/d/pods/web/binding"),
        (Request("patch", "apps", "v1", "deployments", "d", "w"), "/apis/apps/v1/namespaces/d/deployments/w"),
        (Request("get", "", "v1", "nodes", "", "n1"), "/api/v1/nodes/n1"),
    ],
)
def test_a_request_has_one_path(request_, path):
    assert path_of(request_) == path


@contextlib.asynccontextmanager
async def api_server(directory):
    authority = Authority(directory)
    serving = authority.issue("server", user="kube-apiserver", hosts=["127.0.0.1"])
    admin = authority.issue("admin", user="kubernetes-admin", groups=["system:masters"])
    async with local_store() as store:
        config = Config(identity=serving, secure_port=0, grpc_port=0, kubelet_identity=admin)
        server = ApiServer(config, store, clock=SystemClock(), rng=random.Random(1))
        async with running(server.run()):
            await server.listening.wait()
            while server.core.not_ready():
                await asyncio.sleep(0.01)
            yield f"https://127.0.0.1:{server.secure_port}", admin


@pytest.mark.slow
def test_reads_writes_failures_and_an_informer_work_as_over_grpc(tmp_path):
    async def main():
        async with api_server(tmp_path) as (url, admin):
            transport = RestTransport(url, tls=client_context(admin))
            client = Client(transport, field_manager="test")
            informer = Informer(client, CONFIGMAPS, namespace="default", clock=SystemClock(), rng=random.Random(1))
            task = asyncio.ensure_future(informer.run())
            async with asyncio.timeout(10):
                await informer.synced.wait()
                made = await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")
                await client.patch(CONFIGMAPS, "a", {"data": {"k": "v"}}, namespace="default")
                with pytest.raises(StatusError) as caught:
                    await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")
                assert caught.value.reason == "AlreadyExists"
                with pytest.raises(StatusError) as caught:
                    await client.get(NODES, "nobody")
                assert caught.value.reason == "NotFound"
                assert await client.current_revision(NODES) > int(made.metadata.resourceVersion)
                while (found := informer.get("default/a")) is None or not found.data:
                    await asyncio.sleep(0.01)
                await client.delete(CONFIGMAPS, "a", namespace="default")
                while informer.items:
                    await asyncio.sleep(0.01)
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await transport.close()

    asyncio.run(main())


@pytest.mark.slow
def test_a_server_that_is_not_there_is_unavailable():
    async def main():
        transport = RestTransport("https://127.0.0.1:1")
        with pytest.raises(StatusError) as caught:
            await Client(transport, field_manager="t").get(NODES, "n")
        assert caught.value.reason == "ServiceUnavailable"
        await transport.close()

    asyncio.run(main())
