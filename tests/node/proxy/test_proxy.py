"""The proxy as a component: what is in the API becomes connections."""

import asyncio
import contextlib
import random

import pytest

from minik8s.api.core_v1 import SERVICES
from minik8s.api.discovery_v1 import ENDPOINTSLICES
from minik8s.client.client import Client
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.core import CoreConfig
from minik8s.kit.clock import SystemClock
from minik8s.node.proxy.proxy import Config, Proxy
from tests.control.apiserver.harness import ADMIN, local_api
from tests.node.proxy.test_userspace import backend, free_port

IP = "127.78.0.9"


@pytest.mark.slow
def test_a_service_is_served_while_its_endpoints_come_and_go():
    async def main():
        async with (
            asyncio.timeout(30),
            local_api(config=CoreConfig(service_cidr="127.78.0.0/24")) as api,
            backend(b"a") as a,
            backend(b"b", "127.78.1.2") as b,
        ):
            client = Client(api.as_user(ADMIN), field_manager="test")
            user = User("system:kube-proxy", ("system:authenticated",))
            proxy = Proxy(
                Config(),
                Client(api.as_user(user), field_manager="kube-proxy"),
                clock=SystemClock(),
                rng=random.Random(1),
            )
            task = asyncio.ensure_future(proxy.run())
            port = free_port(IP)
            await client.create(SERVICES, service(port), namespace="default")
            await client.create(ENDPOINTSLICES, slice_of(a), namespace="default")
            await answers(port, b"a")
            # At every moment there is an endpoint, so no connection may fail.
            for endpoint, name in ((b, b"b"), (a, b"a")):
                await client.patch(ENDPOINTSLICES, "web-1", slice_of(endpoint), namespace="default")
                async with asyncio.timeout(5):
                    while await ask(port) != name:
                        pass
            await client.delete(SERVICES, "web", namespace="default")
            with pytest.raises(ConnectionError):
                while True:
                    await ask(port)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(main())


def service(port: int) -> dict:
    ports = [{"port": port, "name": "http"}]
    return {"metadata": {"name": "web"}, "spec": {"clusterIP": IP, "ports": ports, "selector": {"app": "web"}}}


def slice_of(endpoint) -> dict:
    return {
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [endpoint.ip], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": endpoint.port, "protocol": "TCP"}],
    }


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(IP, port)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer.strip()


async def answers(port: int, name: bytes) -> None:
    while True:
        with contextlib.suppress(ConnectionError):
            assert await ask(port) == name
            return
        await asyncio.sleep(0.01)
