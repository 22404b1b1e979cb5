"""Starting things: a sandbox with its volumes, and containers in it. Fetches what they refer to, then asks the runtime.

pod_worker.py calls it with what states.py decided; failures are LaunchErrors, which status.py shows.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from minik8s.api.core_v1 import CONFIGMAPS, ConfigMap, Container, Pod, Service
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.client.events import NORMAL, WARNING, EventRecorder
from minik8s.node.kubelet import configs, env, volumes
from minik8s.node.kubelet.cri import CriClient, CriError
from minik8s.node.kubelet.fields import Addresses, ConfigError
from minik8s.node.kubelet.tokens import TokenKeeper
from minik8s.wire.cri.api_pb2 import PodSandboxConfig


class LaunchError(Exception):
    """Something could not be started; `reason` is what kubectl shows in the STATUS column."""

    def __init__(self, reason: str, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.is_passing = is_passing  # the runtime is away: try again soon, without back-off


@dataclass(frozen=True, slots=True)
class Launcher:
    """Shared by all pods of a node."""

    cri: CriClient
    client: Client
    events: EventRecorder
    tokens: TokenKeeper
    services: Callable[[], Iterable[Service]]
    root: Path  # of pods' volumes and logs
    node_ip: str
    allocatable: Mapping[str, str]

    def home(self, uid: str) -> Path:
        """Where a pod's volumes lie."""
        return self.root / "pods" / uid

    @property
    def logs(self) -> Path:
        """Where pods' log directories lie."""
        return self.root / "logs"

    async def set_up_volumes(self, pod: Pod, pod_ip: str = "") -> None:
        """Make the pod's volumes, or bring those made of API objects up to date. Raises LaunchError."""
        assert pod.metadata is not None
        found = await self._configmaps(pod, volumes.configmap_names(pod))
        tokens = await self._tokens(pod)
        try:
            await asyncio.to_thread(
                volumes.set_up, self.home(pod.metadata.uid or ""), pod, found, tokens, self._addresses(pod_ip)
            )
        except volumes.VolumeError as error:
            self.events.event(reference(pod), WARNING, "FailedMount", str(error))
            raise LaunchError("ContainerCreating", str(error)) from error

    async def run_sandbox(self, pod: Pod, attempt: int) -> None:
        """Raises LaunchError."""
        await self.set_up_volumes(pod)
        try:
            await self.cri.run_sandbox(configs.sandbox_config(pod, attempt, self.logs))
        except CriError as error:
            raise self._failed(pod, "FailedCreatePodSandBox", "ContainerCreating", error) from error

    async def start_container(self, pod: Pod, container: Container, attempt: int, sandbox_id: str, pod_ip: str) -> str:
        """Pull, create and start; the container's id. Raises LaunchError."""
        assert pod.metadata is not None
        sandbox = configs.sandbox_config(pod, 0, self.logs)
        await self._pull(pod, container, sandbox)
        found = await self._configmaps(pod, env.configmap_names(container))
        try:
            variables = env.environment(
                pod, container, configmaps=found, services=self.services(), addresses=self._addresses(pod_ip)
            )
            mounts = await asyncio.to_thread(
                volumes.mounts, self.home(pod.metadata.uid or ""), pod, container, variables
            )
        except (ConfigError, volumes.VolumeError, OSError) as error:
            self.events.event(reference(pod), WARNING, "Failed", f"Error: {error}")
            raise LaunchError("CreateContainerConfigError", str(error)) from error
        config = configs.container_config(pod, container, attempt, variables, mounts)
        try:
            container_id = await self.cri.create_container(sandbox_id, config, sandbox)
        except CriError as error:
            raise self._failed(pod, "Failed", "CreateContainerError", error) from error
        self.events.event(reference(pod), NORMAL, "Created", f"Container created: {container.name}")
        try:
            await self.cri.start_container(container_id)
        except CriError as error:
            raise self._failed(pod, "Failed", "RunContainerError", error) from error
        self.events.event(reference(pod), NORMAL, "Started", f"Container started: {container.name}")
        return container_id

    async def clean_up(self, pod: Pod) -> None:
        """Delete the pod's volumes and logs."""
        assert pod.metadata is not None
        self.tokens.forget(pod.metadata.uid or "")
        for directory in (self.home(pod.metadata.uid or ""), configs.log_directory(self.logs, pod)):
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _pull(self, pod: Pod, container: Container, sandbox: PodSandboxConfig) -> None:
        image = container.image or ""
        try:
            if container.imagePullPolicy != "Always" and await self.cri.has_image(image):
                return
            if container.imagePullPolicy == "Never":
                raise LaunchError(
                    "ErrImageNeverPull", f'Container image "{image}" is not present with pull policy of Never'
                )
            await self.cri.pull_image(image, sandbox)
        except CriError as error:
            raise self._failed(pod, "Failed", "ErrImagePull", error) from error

    async def _configmaps(self, pod: Pod, names: Iterable[str]) -> dict[str, ConfigMap]:
        """Those of the names that exist. Read anew each time, so that a restart sees the newest."""
        assert pod.metadata is not None
        found = {}
        for name in sorted(names):
            try:
                found[name] = await self.client.get(CONFIGMAPS, name, namespace=pod.metadata.namespace or "")
            except StatusError as error:
                if error.reason != "NotFound":
                    message = f'cannot read configmap "{name}": {error.message}'
                    raise LaunchError("CreateContainerConfigError", message, is_passing=True) from error
        return found

    async def _tokens(self, pod: Pod) -> dict[tuple[str, str], str]:
        """What the pod's volumes want, by volume and path. Raises LaunchError."""
        found = {}
        for (volume, path), source in volumes.token_sources(pod).items():
            try:
                found[volume, path] = await self.tokens.get(pod, source)
            except StatusError as error:
                message = f'MountVolume.SetUp failed for volume "{volume}": failed to fetch token: {error.message}'
                if error.code < 500:
                    self.events.event(reference(pod), WARNING, "FailedMount", message)
                raise LaunchError("ContainerCreating", message, is_passing=error.code >= 500) from error
        return found

    def _failed(self, pod: Pod, event: str, reason: str, error: CriError) -> LaunchError:
        is_passing = error.code == "UNAVAILABLE"
        if not is_passing:
            self.events.event(reference(pod), WARNING, event, f"Error: {error.message}")
        return LaunchError(reason, error.message, is_passing=is_passing)

    def _addresses(self, pod_ip: str) -> Addresses:
        return Addresses(pod_ip=pod_ip, host_ip=self.node_ip, allocatable=self.allocatable)


def reference(pod: Pod) -> Pod:
    """What an event says it is about: items of a list do not name their kind."""
    return Pod(apiVersion="v1", kind="Pod", metadata=pod.metadata)
