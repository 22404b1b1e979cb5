"""A node in a test: an apiserver in this process, a runtime as a real process, and a kubelet between them."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from minik8s.api.core_v1 import PODS, Pod
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.control.apiserver.authn import User
from minik8s.kit.clock import SystemClock
from minik8s.kit.tls import Authority
from minik8s.node.kubelet.crash_loop import CrashLoopPolicy
from minik8s.node.kubelet.kubelet import Config, Kubelet
from minik8s.node.kubelet.node import Machine
from tests.control.apiserver.harness import ADMIN, local_api
from tests.node.runtime.process import RuntimeProcess, running_runtime, until

DEADLINE_S = 20.0


class World:
    """The parts, and what tests ask of them."""

    def __init__(self, home: Path, api: Any, runtime: RuntimeProcess) -> None:
        self.home = home
        self.runtime = runtime
        self.client = Client(api.as_user(ADMIN), field_manager="test")
        self.authority = Authority(home / "pki")
        self.port = free_port()
        self._api = api

    def kubelet(self) -> Kubelet:
        user = User("system:node:n1", ("system:nodes", "system:authenticated"))
        config = Config(
            machine=Machine(
                name="n1", ip="127.0.0.1", port=self.port, capacity={"cpu": "2", "memory": "1Gi", "pods": "20"}
            ),
            root=self.home / "kubelet",
            runtime_endpoint=f"unix://{self.runtime.socket}",
            identity=self.authority.issue("kubelet", user="system:node:n1", hosts=["127.0.0.1"]),
            pod_cidr=self.runtime.pod_cidr,
            crash_loop=CrashLoopPolicy(first_s=0.3, max_s=2.0),
        )
        client = Client(self._api.as_user(user), field_manager="kubelet")
        return Kubelet(config, client, clock=SystemClock(), rng=random.Random(1))

    @contextlib.asynccontextmanager
    async def running_kubelet(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.kubelet().run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def create(self, name: str, *command: str, **spec: Any) -> Pod:
        return await self.client.create(PODS, pod_document(name, *command, **spec), namespace="default")

    async def get(self, name: str) -> Pod | None:
        try:
            return await self.client.get(PODS, name, namespace="default")
        except StatusError as error:
            assert error.reason == "NotFound", error
            return None

    async def wait(self, name: str, condition, deadline_s: float = DEADLINE_S) -> Any:
        """The pod, once `condition(pod)` holds; pod is None when it is gone."""
        pod = None
        try:
            async with asyncio.timeout(deadline_s):
                while not condition(pod := await self.get(name)):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"in vain; {pod.status if pod else pod}") from None
        return pod

    async def logged(self, name: str, *lines: str) -> None:
        """Wait until the pod's container has printed exactly these lines."""
        pod = await self.get(name)
        assert pod is not None
        path = self.home / f"kubelet/logs/default_{name}_{pod.metadata.uid}/c/0.log"

        async def is_there() -> bool:
            text = path.read_text() if path.exists() else ""
            return tuple(line.split(" ", 3)[3] for line in text.splitlines()) == lines

        await until(is_there)


def pod_document(name: str, *command: str, container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod of one container `c`, bound to node n1."""
    only = {"name": "c", "image": "example.org/none:1", "command": list(command)} | (container or {})
    return {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"nodeName": "n1", "containers": [only], "terminationGracePeriodSeconds": 5} | spec,
    }


def is_ready(pod: Pod | None) -> bool:
    conditions = (pod and pod.status and pod.status.conditions) or ()
    return any(found.type == "Ready" and found.status == "True" for found in conditions)


def is_gone(pod: Pod | None) -> bool:
    return pod is None


def in_phase(phase: str):
    return lambda pod: pod is not None and pod.status is not None and pod.status.phase == phase


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def world(home: Path) -> AsyncIterator[World]:
    async with asyncio.timeout(60), local_api() as api, running_runtime(home) as runtime:
        yield World(home, api, runtime)
