"""The RuntimeService of CRI: what each call means. server.py carries it over gRPC.

Methods are CRI's, in snake case; they take its requests, return its responses and raise RuntimeFault. All are
idempotent where CRI says so: stopping or removing what is gone succeeds.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.node.runtime.addresses import next_address, parse_cidr
from minik8s.node.runtime.container import Container
from minik8s.node.runtime.engines import process
from minik8s.node.runtime.errors import RuntimeFault, failed, invalid, not_found, not_now
from minik8s.node.runtime.events import Events
from minik8s.node.runtime.sandbox import Sandbox, uses_node_network
from minik8s.node.runtime.state import ContainerRecord, SandboxRecord, State
from minik8s.wire.cri import api_pb2 as cri

log = get_logger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Starts a task that lives in the server's TaskGroup."""


class RuntimeService:
    """All sandboxes and containers of one root directory."""

    def __init__(self, state: State, *, clock: Clock, rng: random.Random) -> None:
        self._state = state
        self._clock = clock
        self._rng = rng
        self._network = state.network()
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, Container] = {}
        self._events = Events()
        self._spawn: Spawn | None = None

    def open(self, spawn: Spawn) -> None:
        """Take up everything an earlier server left; `spawn` runs the containers' tasks."""
        self._spawn = spawn
        self._network = self._state.network()
        for sandbox in map(Sandbox, self._state.sandboxes()):
            self._sandboxes[sandbox.record.id] = sandbox
        for record in self._state.containers():
            home = self._sandboxes.get(record.sandbox_id)
            if home is None:
                self._state.drop_container(record.id)
                continue
            container = self._container(record, home)
            self._containers[record.id] = container
            if container.adopt():
                spawn(container.run())
                log.info("container adopted", container=record.id, name=container.config.metadata.name)

    async def stop_all(self, grace_s: float) -> None:
        """Stop every container, at once. What the server does when it is told to end."""
        async with asyncio.TaskGroup() as group:
            for container in self._containers.values():
                group.create_task(container.stop(grace_s))

    def version(self, request: cri.VersionRequest) -> cri.VersionResponse:
        return cri.VersionResponse(
            version="0.1.0",
            runtime_name="minik8s",
            runtime_version=metadata.version("minik8s"),
            runtime_api_version="v1",
        )

    def status(self, request: cri.StatusRequest) -> cri.StatusResponse:
        has_network = bool(self._network.pod_cidr)
        conditions = [
            cri.RuntimeCondition(type="RuntimeReady", status=True),
            cri.RuntimeCondition(
                type="NetworkReady",
                status=has_network,
                reason="" if has_network else "NetworkPluginNotReady",
                message="" if has_network else "waiting for the node's pod CIDR (UpdateRuntimeConfig)",
            ),
        ]
        info = {"engine": "process", "podCIDR": self._network.pod_cidr} if request.verbose else {}
        return cri.StatusResponse(status=cri.RuntimeStatus(conditions=conditions), info=info)

    def update_runtime_config(self, request: cri.UpdateRuntimeConfigRequest) -> cri.UpdateRuntimeConfigResponse:
        cidr = request.runtime_config.network_config.pod_cidr
        if cidr and cidr != self._network.pod_cidr:
            parse_cidr(cidr)
            self._network.pod_cidr = cidr
            self._state.save_network(self._network)
        return cri.UpdateRuntimeConfigResponse()

    def runtime_config(self, request: cri.RuntimeConfigRequest) -> cri.RuntimeConfigResponse:
        return cri.RuntimeConfigResponse(linux=cri.LinuxRuntimeConfiguration(cgroup_driver=cri.CgroupDriver.CGROUPFS))

    def run_pod_sandbox(self, request: cri.RunPodSandboxRequest) -> cri.RunPodSandboxResponse:
        config = request.config
        if not config.metadata.name or not config.metadata.uid:
            raise invalid("sandbox metadata must have a name and a uid")
        for sandbox in self._sandboxes.values():
            if sandbox.config.metadata == config.metadata:
                raise RuntimeFault("ALREADY_EXISTS", f'sandbox of pod "{config.metadata.name}" exists already')
        record = SandboxRecord(
            id=self._new_id(),
            config=config.SerializeToString(),
            created_at_ns=self._now_ns(),
            runtime_handler=request.runtime_handler,
            ip="" if uses_node_network(config) else self._take_address(),
        )
        self._state.save_sandbox(record)
        self._sandboxes[record.id] = Sandbox(record)
        return cri.RunPodSandboxResponse(pod_sandbox_id=record.id)

    async def stop_pod_sandbox(self, request: cri.StopPodSandboxRequest) -> cri.StopPodSandboxResponse:
        if sandbox := self._sandboxes.get(request.pod_sandbox_id):
            async with asyncio.TaskGroup() as group:
                for container in self._members(sandbox.record.id):
                    group.create_task(container.stop(0))
            if sandbox.record.ready:
                sandbox.record.ready = False
                self._state.save_sandbox(sandbox.record)
        return cri.StopPodSandboxResponse()

    async def remove_pod_sandbox(self, request: cri.RemovePodSandboxRequest) -> cri.RemovePodSandboxResponse:
        await self.stop_pod_sandbox(cri.StopPodSandboxRequest(pod_sandbox_id=request.pod_sandbox_id))
        for container in self._members(request.pod_sandbox_id):
            await self.remove_container(cri.RemoveContainerRequest(container_id=container.record.id))
        if self._sandboxes.pop(request.pod_sandbox_id, None):
            await asyncio.to_thread(self._state.drop_sandbox, request.pod_sandbox_id)
        return cri.RemovePodSandboxResponse()

    def pod_sandbox_status(self, request: cri.PodSandboxStatusRequest) -> cri.PodSandboxStatusResponse:
        sandbox = self._sandbox(request.pod_sandbox_id)
        return cri.PodSandboxStatusResponse(
            status=sandbox.status(),
            containers_statuses=[container.status() for container in self._members(sandbox.record.id)],
            timestamp=self._now_ns(),
        )

    def list_pod_sandbox(self, request: cri.ListPodSandboxRequest) -> cri.ListPodSandboxResponse:
        wanted = request.filter
        found = [
            sandbox.summary()
            for sandbox in self._sandboxes.values()
            if sandbox.record.id.startswith(wanted.id)
            and (not wanted.HasField("state") or sandbox.state == wanted.state.state)
            and _selects(wanted.label_selector, sandbox.config.labels)
        ]
        return cri.ListPodSandboxResponse(items=found)

    async def create_container(self, request: cri.CreateContainerRequest) -> cri.CreateContainerResponse:
        sandbox = self._sandbox(request.pod_sandbox_id)
        if not sandbox.record.ready:
            raise not_now(f'sandbox "{sandbox.record.id}" is not ready')
        config = request.config
        if not config.metadata.name:
            raise invalid("container metadata must have a name")
        if any(container.config.metadata == config.metadata for container in self._members(sandbox.record.id)):
            raise RuntimeFault("ALREADY_EXISTS", f'container "{config.metadata.name}" exists already')
        process.check(config)
        directory = sandbox.config.log_directory
        record = ContainerRecord(
            id=self._new_id(),
            sandbox_id=sandbox.record.id,
            config=config.SerializeToString(),
            log_path=str(Path(directory, config.log_path)) if directory and config.log_path else "",
            created_at_ns=self._now_ns(),
        )
        self._state.save_container(record)
        try:
            process.prepare(self._state.container_directory(record.id), config)
        except (OSError, RuntimeFault) as error:
            self._state.drop_container(record.id)
            if isinstance(error, RuntimeFault):
                raise
            raise failed(f"cannot prepare the container's directory: {error}") from error
        container = self._containers[record.id] = self._container(record, sandbox)
        self._publish(container, cri.ContainerEventType.CONTAINER_CREATED_EVENT)
        return cri.CreateContainerResponse(container_id=record.id)

    async def start_container(self, request: cri.StartContainerRequest) -> cri.StartContainerResponse:
        container = self._find(request.container_id)
        await container.start()
        assert self._spawn is not None, "open comes first"
        self._spawn(container.run())
        return cri.StartContainerResponse()

    async def stop_container(self, request: cri.StopContainerRequest) -> cri.StopContainerResponse:
        if container := self._containers.get(request.container_id):
            await container.stop(request.timeout)
        return cri.StopContainerResponse()

    async def remove_container(self, request: cri.RemoveContainerRequest) -> cri.RemoveContainerResponse:
        if container := self._containers.get(request.container_id):
            await container.stop(0)
            if self._containers.pop(request.container_id, None):
                await asyncio.to_thread(self._state.drop_container, request.container_id)
                self._publish(container, cri.ContainerEventType.CONTAINER_DELETED_EVENT)
        return cri.RemoveContainerResponse()

    def list_containers(self, request: cri.ListContainersRequest) -> cri.ListContainersResponse:
        wanted = request.filter
        found = [container.summary() for container in self._containers.values() if _matches(wanted, container)]
        return cri.ListContainersResponse(containers=found)

    def container_status(self, request: cri.ContainerStatusRequest) -> cri.ContainerStatusResponse:
        return cri.ContainerStatusResponse(status=self._find(request.container_id).status())

    def reopen_container_log(self, request: cri.ReopenContainerLogRequest) -> cri.ReopenContainerLogResponse:
        self._find(request.container_id).reopen_log()
        return cri.ReopenContainerLogResponse()

    async def exec_sync(self, request: cri.ExecSyncRequest) -> cri.ExecSyncResponse:
        result = await self._find(request.container_id).execute(list(request.cmd), request.timeout)
        return cri.ExecSyncResponse(stdout=result.stdout, stderr=result.stderr, exit_code=result.exit_code)

    def get_container_events(self, request: cri.GetEventsRequest) -> AsyncIterator[cri.ContainerEventResponse]:
        return self._events.subscribe()

    def _publish(self, container: Container, kind: "cri.ContainerEventType") -> None:
        sandbox = self._sandboxes.get(container.record.sandbox_id)
        self._events.publish(
            cri.ContainerEventResponse(
                container_id=container.record.id,
                container_event_type=kind,
                created_at=self._now_ns(),
                pod_sandbox_status=sandbox.status() if sandbox else None,
            )
        )

    def _container(self, record: ContainerRecord, sandbox: Sandbox) -> Container:
        return Container(record, sandbox.config, state=self._state, clock=self._clock, on_change=self._publish)

    def _take_address(self) -> str:
        if not self._network.pod_cidr:
            raise not_now("the pod network is not ready: waiting for the node's pod CIDR (UpdateRuntimeConfig)")
        # A stopped sandbox has given its address back: nothing of it can listen there any more.
        taken = {sandbox.record.ip for sandbox in self._sandboxes.values() if sandbox.record.ready}
        self._network.last_ip = next_address(parse_cidr(self._network.pod_cidr), taken, self._network.last_ip)
        self._state.save_network(self._network)
        return self._network.last_ip

    def _members(self, sandbox_id: str) -> list[Container]:
        return [container for container in self._containers.values() if container.record.sandbox_id == sandbox_id]

    def _sandbox(self, sandbox_id: str) -> Sandbox:
        if sandbox := self._sandboxes.get(sandbox_id):
            return sandbox
        raise not_found("sandbox", sandbox_id)

    def _find(self, container_id: str) -> Container:
        if container := self._containers.get(container_id):
            return container
        raise not_found("container", container_id)

    def _new_id(self) -> str:
        return f"{self._rng.getrandbits(256):064x}"

    def _now_ns(self) -> int:
        return round(self._clock.now_s() * 1e9)


def _matches(wanted: cri.ContainerFilter, container: Container) -> bool:
    return (
        container.record.id.startswith(wanted.id)
        and wanted.pod_sandbox_id in ("", container.record.sandbox_id)
        and (not wanted.HasField("state") or container.summary().state == wanted.state.state)
        and _selects(wanted.label_selector, container.config.labels)
    )


def _selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())
