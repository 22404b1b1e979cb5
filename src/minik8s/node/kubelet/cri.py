"""The kubelet's end of CRI, and the only place in it that knows gRPC (but for gRPC probes).

Calls return the values of view.py, or ids; failures are CriError. Works with any CRI v1 runtime: labels carry what the
kubelet must know again after a restart, as upstream's kubelet writes them.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from minik8s.node.kubelet.view import ContainerState, ContainerView, PodView, SandboxView
from minik8s.wire.cri import api_pb2 as cri

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"

CALL_TIMEOUT_S = 10.0  # calls that should answer at once
WORK_TIMEOUT_S = 240.0  # calls that start something (upstream: runtimeRequestTimeout, 2 min, twice for sandboxes)
PULL_TIMEOUT_S = 3600.0

_STATES: dict[int, ContainerState] = {
    cri.ContainerState.CONTAINER_CREATED: "created",
    cri.ContainerState.CONTAINER_RUNNING: "running",
    cri.ContainerState.CONTAINER_EXITED: "exited",
    cri.ContainerState.CONTAINER_UNKNOWN: "unknown",
}


class CriError(Exception):
    """A call the runtime refused or could not carry out; `code` is the name of a gRPC status code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class CriClient:
    """Calls one runtime. The constructor opens nothing; `open` must come first, within the running loop."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[str, Any] = {}

    def open(self) -> None:
        """Make the channel; it connects when it is used, and again when the runtime is restarted."""
        options = [
            ("grpc.max_receive_message_length", 64 * 1024 * 1024),
            # A restarted runtime is back within a second: do not let the channel's own back-off grow past it.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        self._channel = grpc.aio.insecure_channel(self._endpoint, options=options)
        for name in ("RuntimeService", "ImageService"):
            for method in cri.DESCRIPTOR.services_by_name[name].methods:
                make = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
                self._calls[method.name] = make(
                    f"/runtime.v1.{name}/{method.name}",
                    request_serializer=getattr(cri, method.input_type.name).SerializeToString,
                    response_deserializer=getattr(cri, method.output_type.name).FromString,
                )

    async def close(self) -> None:
        """Harmless when it is not open."""
        if self._channel:
            await self._channel.close()
            self._channel = None

    async def version(self) -> str:
        """`containerd://1.6.20`, as node status shows it."""
        answer = await self._call("Version", cri.VersionRequest(version="0.1.0"))
        return f"{answer.runtime_name}://{answer.runtime_version}"

    async def unmet_conditions(self) -> list[tuple[str, str]]:
        """(type, message) of each runtime condition that is not true: empty when all is well."""
        answer = await self._call("Status", cri.StatusRequest())
        return [
            (condition.type, condition.message or condition.reason)
            for condition in answer.status.conditions
            if not condition.status
        ]

    async def set_pod_cidr(self, pod_cidr: str) -> None:
        """Tell the runtime which addresses its pods get."""
        network = cri.NetworkConfig(pod_cidr=pod_cidr)
        request = cri.UpdateRuntimeConfigRequest(runtime_config=cri.RuntimeConfig(network_config=network))
        await self._call("UpdateRuntimeConfig", request)

    async def pods(self, uid: str = "") -> dict[str, PodView]:
        """uid → what the runtime has of that pod; of one pod if `uid` is given, else of all."""
        selector = {POD_UID: uid} if uid else {}
        sandboxes = await self._call(
            "ListPodSandbox", cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(label_selector=selector))
        )
        containers = await self._call(
            "ListContainers", cri.ListContainersRequest(filter=cri.ContainerFilter(label_selector=selector))
        )
        sandboxes_of: dict[str, list[SandboxView]] = defaultdict(list)
        containers_of: dict[str, list[ContainerView]] = defaultdict(list)
        names: dict[str, tuple[str, str]] = {}
        for item in sandboxes.items:
            owner = item.labels.get(POD_UID, item.metadata.uid)
            names[owner] = (item.metadata.namespace, item.metadata.name)
            if view := await self._sandbox(item):
                sandboxes_of[owner].append(view)
        for item in containers.containers:
            if owner := item.labels.get(POD_UID, ""):
                names.setdefault(owner, (item.labels.get(POD_NAMESPACE, ""), item.labels.get(POD_NAME, "")))
                if container := await self._container(item):
                    containers_of[owner].append(container)
        return {
            owner: PodView(
                uid=owner,
                namespace=namespace,
                name=name,
                sandboxes=tuple(sorted(sandboxes_of[owner], key=_age, reverse=True)),
                containers=tuple(
                    sorted(containers_of[owner], key=lambda view: (view.created_at_s, view.attempt))[::-1]
                ),
            )
            for owner, (namespace, name) in names.items()
        }

    async def pod(self, uid: str) -> PodView:
        """What the runtime has of one pod: an empty view if nothing."""
        return (await self.pods(uid)).get(uid) or PodView(uid=uid)

    async def run_sandbox(self, config: cri.PodSandboxConfig) -> str:
        answer = await self._call("RunPodSandbox", cri.RunPodSandboxRequest(config=config), WORK_TIMEOUT_S)
        return str(answer.pod_sandbox_id)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._call("StopPodSandbox", cri.StopPodSandboxRequest(pod_sandbox_id=sandbox_id), WORK_TIMEOUT_S)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._call("RemovePodSandbox", cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id), WORK_TIMEOUT_S)

    async def has_image(self, image: str) -> bool:
        """Whether the runtime need not pull it."""
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=image))
        return bool((await self._call("ImageStatus", request)).image.id)

    async def pull_image(self, image: str, sandbox: cri.PodSandboxConfig) -> None:
        request = cri.PullImageRequest(image=cri.ImageSpec(image=image), sandbox_config=sandbox)
        await self._call("PullImage", request, PULL_TIMEOUT_S)

    async def create_container(
        self, sandbox_id: str, config: cri.ContainerConfig, sandbox_config: cri.PodSandboxConfig
    ) -> str:
        request = cri.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox_config)
        answer = await self._call("CreateContainer", request, WORK_TIMEOUT_S)
        return str(answer.container_id)

    async def start_container(self, container_id: str) -> None:
        await self._call("StartContainer", cri.StartContainerRequest(container_id=container_id), WORK_TIMEOUT_S)

    async def stop_container(self, container_id: str, timeout_s: int) -> None:
        """Returns when the container has ended: SIGTERM, then SIGKILL after `timeout_s`."""
        request = cri.StopContainerRequest(container_id=container_id, timeout=timeout_s)
        await self._call("StopContainer", request, timeout_s + WORK_TIMEOUT_S)

    async def remove_container(self, container_id: str) -> None:
        await self._call("RemoveContainer", cri.RemoveContainerRequest(container_id=container_id))

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> tuple[int, bytes]:
        """(exit code, output) of a command run in the container; CriError DEADLINE_EXCEEDED if it takes too long."""
        request = cri.ExecSyncRequest(container_id=container_id, cmd=command, timeout=max(1, round(timeout_s)))
        answer = await self._call("ExecSync", request, timeout_s + CALL_TIMEOUT_S)
        return int(answer.exit_code), bytes(answer.stdout + answer.stderr)

    async def changes(self) -> AsyncIterator[str]:
        """First "" once the stream is open, then the uid of each pod a container of which changed.

        Raises CriError: UNIMPLEMENTED if the runtime has no events, UNAVAILABLE when it goes away.
        """
        call = self._calls["GetContainerEvents"](cri.GetEventsRequest())
        try:
            await call.initial_metadata()
            # A failed call has initial metadata too, so the first message or failure tells.
            if call.done():
                await call.read()
            yield ""
            async for event in call:
                if uid := event.pod_sandbox_status.metadata.uid:
                    yield uid
        except grpc.aio.AioRpcError as error:
            raise CriError(error.code().name, error.details() or "") from error
        finally:
            call.cancel()

    async def _sandbox(self, item: cri.PodSandbox) -> SandboxView | None:
        is_ready = item.state == cri.PodSandboxState.SANDBOX_READY
        try:
            answer = await self._call("PodSandboxStatus", cri.PodSandboxStatusRequest(pod_sandbox_id=item.id))
        except CriError as error:
            if error.code == "NOT_FOUND":
                return None  # removed since it was listed
            raise
        return SandboxView(item.id, item.metadata.attempt, is_ready, item.created_at / 1e9, answer.status.network.ip)

    async def _container(self, item: cri.Container) -> ContainerView | None:
        try:
            answer = await self._call("ContainerStatus", cri.ContainerStatusRequest(container_id=item.id))
        except CriError as error:
            if error.code == "NOT_FOUND":
                return None
            raise
        status = answer.status
        return ContainerView(
            id=item.id,
            name=item.labels.get(CONTAINER_NAME, item.metadata.name),
            attempt=item.metadata.attempt,
            sandbox_id=item.pod_sandbox_id,
            state=_STATES.get(status.state, "unknown"),
            created_at_s=status.created_at / 1e9,
            started_at_s=status.started_at / 1e9,
            finished_at_s=status.finished_at / 1e9,
            exit_code=status.exit_code,
            reason=status.reason,
            message=status.message,
            image=status.image.user_specified_image or status.image.image,
            image_id=status.image_ref,
            log_path=status.log_path,
        )

    async def _call(self, name: str, request: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        assert self._channel, "open comes first"
        try:
            return await self._calls[name](request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise CriError(error.code().name, error.details() or "") from error


def _age(view: SandboxView | ContainerView) -> tuple[float, int]:
    return view.created_at_s, view.attempt
