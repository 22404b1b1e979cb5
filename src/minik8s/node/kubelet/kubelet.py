"""The kubelet: makes a node of a machine with a container runtime. This file only connects the parts.

    informer (pods of this node) ──update──▶ PodWorker ×n ──CRI──▶ runtime
    changes  (runtime's events)  ──poke────▶     │
    heartbeat (Node, Lease, pod CIDR)            └──▶ Reporter ──status──▶ API
    http     (logs, for the apiserver)

A kubelet that dies leaves the containers running; its successor finds them by their labels and goes on.
"""

import asyncio
import random
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from minik8s.api.core_v1 import NODES, PODS, SERVICES, Pod
from minik8s.client.client import Client
from minik8s.client.events import EventRecorder
from minik8s.client.informer import Informer
from minik8s.kit.clock import Clock
from minik8s.kit.health import Check
from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError
from minik8s.kit.tls import Identity, server_context
from minik8s.node.kubelet.changes import RuntimeChanges
from minik8s.node.kubelet.crash_loop import CrashLoopPolicy
from minik8s.node.kubelet.cri import CriClient
from minik8s.node.kubelet.handlers import Handlers
from minik8s.node.kubelet.heartbeat import Heartbeat
from minik8s.node.kubelet.http import KubeletHttp
from minik8s.node.kubelet.launcher import Launcher
from minik8s.node.kubelet.node import Machine
from minik8s.node.kubelet.pod_worker import PodWorker
from minik8s.node.kubelet.reporter import Reporter
from minik8s.node.kubelet.tokens import TokenKeeper

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Config:
    """What a kubelet is told."""

    machine: Machine
    root: Path  # volumes and logs of pods
    runtime_endpoint: str  # unix:///path
    identity: Identity  # of the HTTPS server, and the authority its clients must have
    pod_cidr: str = ""  # "": what the Node's spec.podCIDR says
    crash_loop: CrashLoopPolicy = CrashLoopPolicy()  # noqa: RUF009  (frozen)


class Kubelet:
    """One node's agent."""

    name = "kubelet"

    def __init__(self, config: Config, client: Client, *, clock: Clock, rng: random.Random) -> None:
        self.registry = CollectorRegistry()
        self._config = config
        self._client = client
        self._clock = clock
        self._rng = rng
        self._cri = CriClient(config.runtime_endpoint)
        self._handlers = Handlers(self._cri)
        name = config.machine.name
        selector = f"spec.nodeName={name}"
        self._pods = Informer(client, PODS, field_selector=selector, clock=clock, rng=rng)
        self._node = Informer(client, NODES, field_selector=f"metadata.name={name}", clock=clock, rng=rng)
        self._services = Informer(client, SERVICES, clock=clock, rng=rng)
        self._events = EventRecorder(client, "kubelet", clock=clock, host=name)
        self._heartbeat = Heartbeat(
            config.machine,
            client=client,
            cri=self._cri,
            node=lambda: self._node.get(name),
            on_ready=self._poke_all,
            pod_cidr=config.pod_cidr,
            clock=clock,
            rng=rng,
        )
        self._launcher = Launcher(
            cri=self._cri,
            client=client,
            events=self._events,
            tokens=TokenKeeper(client, clock),
            services=self._services.items.values,
            root=config.root,
            node_ip=config.machine.ip,
            allocatable=config.machine.capacity,
        )
        self._workers: dict[str, PodWorker] = {}
        self._group: asyncio.TaskGroup | None = None
        gauge = Gauge("kubelet_running_pods", "Pods this kubelet looks after.", registry=self.registry)
        gauge.set_function(lambda: len(self._workers))

    def checks(self) -> Mapping[str, Check]:
        return {
            "informer": lambda: None if self._pods.synced.is_set() else "pods are not listed yet",
            "runtime": lambda: "; ".join(self._heartbeat.problems) or None,
        }

    async def run(self) -> None:
        """Look after this node's pods until cancelled. Raises StartError."""
        context = await asyncio.to_thread(self._prepare)
        self._cri.open()
        http = KubeletHttp(
            cri=self._cri,
            find=lambda namespace, name: self._pods.get(f"{namespace}/{name}"),
            pods=lambda: list(self._pods.items.values()),
            clock=self._clock,
        )
        machine = self._config.machine
        runner = await http.start(machine.ip, machine.port, context)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._pods.add_handler(self._pod_changed)
                for part in (self._pods, self._node, self._services, self._events, self._heartbeat):
                    group.create_task(part.run())
                group.create_task(self._listen())
        finally:
            await runner.cleanup()
            await self._handlers.close()
            await self._cri.close()

    def _prepare(self) -> ssl.SSLContext:
        config = self._config
        try:
            config.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StartError(f"cannot use --root-dir {config.root}: {error.strerror}") from error
        try:
            return server_context(config.identity, require_client=True)
        except (OSError, ssl.SSLError) as error:
            raise StartError(
                f"cannot read {config.identity.cert_file}, {config.identity.key_file} or {config.identity.ca_file} "
                f"(--tls-cert-file, --tls-private-key-file, --client-ca-file): {error}"
            ) from error

    async def _listen(self) -> None:
        """Hear of the runtime's changes, once it is known which pods should be there."""
        await self._pods.synced.wait()
        await self._services.synced.wait()
        await RuntimeChanges(self._cri, self._runtime_changed).run()

    def _pod_changed(self, type_: str, old: Pod | None, new: Pod) -> None:
        assert new.metadata is not None and new.metadata.uid is not None
        uid = new.metadata.uid
        if type_ == "DELETED":
            if worker := self._workers.get(uid):
                worker.update(None)
        else:
            self._worker(uid).update(new)

    def _runtime_changed(self, uid: str) -> None:
        # A pod the API does not have gets a worker too: one that ends it.
        self._worker(uid).poke()

    def _poke_all(self) -> None:
        for worker in self._workers.values():
            worker.poke()

    def _worker(self, uid: str) -> PodWorker:
        if worker := self._workers.get(uid):
            return worker
        worker = self._workers[uid] = PodWorker(
            uid,
            launcher=self._launcher,
            handlers=self._handlers,
            policy=self._config.crash_loop,
            clock=self._clock,
            runtime_name=lambda: self._heartbeat.runtime_name,
            network_is_ready=lambda: not self._heartbeat.problems,
            make_reporter=lambda pod: Reporter(self._client, pod, rng=self._rng),
        )
        assert self._group is not None
        self._group.create_task(self._run_worker(worker))
        return worker

    async def _run_worker(self, worker: PodWorker) -> None:
        # Services' variables are part of a container's environment: they must be known before one is started.
        await self._services.synced.wait()
        try:
            await worker.run()
        finally:
            self._workers.pop(worker.uid, None)
