"""The control plane in virtual time: a true apiserver over the in-process store, our scheduler and controllers behind
transports that fail, kubelets that are pretended. Invariants are checked at every event, on a view that has no faults.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

from control.apiserver.harness import ADMIN, local_api

from minik8s.api.apps_v1 import DEPLOYMENTS, REPLICASETS, Deployment
from minik8s.api.core_v1 import NODES, PODS, Pod
from minik8s.api.errors import StatusError
from minik8s.api.meta_v1 import controller_of
from minik8s.api.request import STRATEGIC_MERGE_PATCH
from minik8s.client.client import Client
from minik8s.client.informer import Informer
from minik8s.client.leader import Timing
from minik8s.control.controllers import pods as pod_rules
from minik8s.control.controllers.context import Config as ControllersConfig
from minik8s.control.controllers.manager import Manager
from minik8s.control.scheduler.scheduler import Config as SchedulerConfig
from minik8s.control.scheduler.scheduler import Scheduler
from minik8s.kit.clock import LoopClock, timestamp
from sim.control.faulty import CALM, Faults, FaultyTransport

TIMING = Timing(5.0, 3.0, 0.5)


class World:
    """One cluster. Enter it with `world()`."""

    def __init__(self, api: Any, seed: int, faults: Faults, *, nodes: int, pods_per_node: int) -> None:
        self.rng = random.Random(seed)
        self.clock = LoopClock()
        self.faults = faults
        self.client = Client(api.as_user(ADMIN), field_manager="test")
        self.pods = Informer(self.client, PODS, clock=self.clock, rng=self.rng)
        self.replicasets = Informer(self.client, REPLICASETS, clock=self.clock, rng=self.rng)
        self.deployments = Informer(self.client, DEPLOYMENTS, clock=self.clock, rng=self.rng)
        self.kubelets_alive = {f"n{number}": True for number in range(nodes)}
        self._api = api
        self._pods_per_node = pods_per_node
        self._tasks: dict[str, tuple[asyncio.Task[None], FaultyTransport]] = {}
        self._sizes: dict[str, list[tuple[float, int]]] = {}  # ReplicaSet's uid → (until when it counts, size)
        self.max_pods: dict[str, int] = {}  # Deployment → bound, by the story
        self.min_available: dict[str, int] = {}
        self.surplus = 0
        self.violations: list[str] = []
        self.managers: list[Manager] = []
        self.pods.add_handler(self._check)
        self.replicasets.add_handler(self._note_size)

    def start(self, name: str) -> None:
        """Start a component: `scheduler…` or `controllers…`."""
        transport = FaultyTransport(self._api.as_user(ADMIN), self.rng, self.faults)
        client = Client(transport, field_manager=name)
        identity = f"{name}-{self.rng.random()}"
        component: Any
        if name.startswith("scheduler"):
            config = SchedulerConfig(timing=TIMING)
            component = Scheduler(config, client, clock=self.clock, rng=self.rng, identity=identity)
        else:
            component = Manager(
                ControllersConfig(timing=TIMING, cluster_cidr="10.0.0.0/16"),
                client,
                clock=self.clock,
                rng=self.rng,
                identity=identity,
            )
            self.managers.append(component)
        self._tasks[name] = (asyncio.ensure_future(component.run()), transport)

    async def kill(self, name: str) -> None:
        """End a component as kill -9 does: what it sent is under way, nothing else happens."""
        task, transport = self._tasks.pop(name)
        transport.cut()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def set_faults(self, faults: Faults) -> None:
        self.faults = faults
        for _, transport in self._tasks.values():
            transport.faults = faults

    async def settle(self, *names: str, within_s: float = 120.0) -> None:
        """Wait, without faults, until the Deployments are what they should be."""
        before, self.faults = self.faults, CALM
        self.set_faults(CALM)
        revision = await self.client.current_revision(NODES)
        for informer in (self.deployments, self.replicasets, self.pods):
            await informer.reach(revision)
        await self.until(lambda: all(self._is_settled(name) for name in names), within_s=within_s)
        self.set_faults(before)

    async def until(self, condition: Any, *, within_s: float = 60.0) -> None:
        """Wait for a condition."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    for task, _ in self._tasks.values():
                        if task.done():
                            task.result()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {within_s} s; {self.describe()}") from None

    def describe(self) -> str:
        lines = [f"t={self.clock.monotonic_s():.1f}"]
        lines += [f"{key}: {one.spec.replicas} {one.status}" for key, one in self.deployments.items.items()]
        lines += [f"{key}: {one.spec.replicas} {one.status}" for key, one in self.replicasets.items.items()]
        for key, pod in self.pods.items.items():
            lines.append(f"{key} on {pod.spec.nodeName} {pod_rules.phase(pod)} ready={pod_rules.is_ready(pod)}")
        return "\n".join(lines)

    def active(self, deployment: str) -> list[Pod]:
        """Pods of a Deployment that are neither finished nor going."""
        return [pod for pod in self.pods.items.values() if self._belongs(pod, deployment) and pod_rules.is_active(pod)]

    def is_settled_status(self, deployment: Deployment) -> bool:
        status, wanted = deployment.status, deployment.spec.replicas
        return (
            status is not None
            and status.observedGeneration == deployment.metadata.generation
            and wanted == (status.updatedReplicas or 0) == (status.replicas or 0) == (status.availableReplicas or 0)
        )

    def _is_settled(self, name: str) -> bool:
        deployment = self.deployments.get(f"default/{name}")
        return (
            deployment is not None
            and self.is_settled_status(deployment)
            and len(self.active(name)) == deployment.spec.replicas
            and all(pod_rules.is_ready(pod) for pod in self.active(name))
        )

    def _belongs(self, pod: Pod, deployment: str) -> bool:
        return (pod.metadata.labels or {}).get("app") == deployment

    def _note_size(self, type_: str, old: Any, new: Any) -> None:
        """Remember sizes for a while: a controller may act on one that was changed a moment ago."""
        history = self._sizes.setdefault(new.metadata.uid, [])
        if history:
            history[-1] = (self.clock.monotonic_s() + 30, history[-1][1])
        history.append((float("inf"), new.spec.replicas))

    def _check(self, type_: str, old: Any, new: Pod) -> None:
        now_s = self.clock.monotonic_s()
        if old is not None and old.metadata.uid == new.metadata.uid and old.spec.nodeName:
            assert new.spec.nodeName == old.spec.nodeName, "a pod was bound twice"
        name = (new.metadata.labels or {}).get("app", "")
        active = self.active(name)
        if name in self.max_pods and len(active) > self.max_pods[name]:
            self.violations.append(f"{now_s:.2f}: {len(active)} pods of {name}, at most {self.max_pods[name]} allowed")
        available = sum(map(pod_rules.is_ready, active))
        if name in self.min_available and available < self.min_available[name]:
            self.violations.append(f"{now_s:.2f}: {available} of {name} available, not {self.min_available[name]}")
        owner = controller_of(new)
        if type_ == "ADDED" and owner is not None:
            siblings = [pod for pod in active if controller_of(pod).uid == owner.uid]
            allowed = max((size for until, size in self._sizes.get(owner.uid, []) if until >= now_s), default=0)
            if len(siblings) > allowed:
                self.surplus += 1
        for node in self.kubelets_alive:
            here = [pod for pod in self.pods.items.values() if pod.spec.nodeName == node]
            assert len(here) <= self._pods_per_node, f"{len(here)} pods on {node}"

    async def register(self, node: str) -> None:
        """A kubelet's first word."""
        await self.client.create(NODES, {"metadata": {"name": node}})
        resources = {"cpu": "4", "memory": "8Gi", "pods": str(self._pods_per_node)}
        status = {"capacity": resources, "allocatable": resources, "conditions": [self._ready_condition()]}
        await self.client.patch(NODES, node, {"status": status}, patch_type=STRATEGIC_MERGE_PATCH, subresource="status")

    async def run_kubelet(self, node: str) -> None:
        """Make pods ready a moment after they are bound, let them go a moment after they are asked to, beat."""
        beat_s = 0.0
        while True:
            await asyncio.sleep(self.rng.uniform(0.05, 0.3))
            if not self.kubelets_alive[node]:
                continue
            try:
                if self.clock.monotonic_s() >= beat_s:
                    beat_s = self.clock.monotonic_s() + 10
                    status = {"status": {"conditions": [self._ready_condition()]}}
                    await self.client.patch(NODES, node, status, patch_type=STRATEGIC_MERGE_PATCH, subresource="status")
                for pod in list(self.pods.items.values()):
                    if pod.spec.nodeName == node and self.rng.random() < 0.5:
                        await self._sync(pod)
            except StatusError as error:
                assert error.reason in ("NotFound", "Conflict"), error

    async def _sync(self, pod: Pod) -> None:
        meta = pod.metadata
        if meta.deletionTimestamp is not None:
            await self.client.delete(PODS, meta.name, namespace=meta.namespace, uid=meta.uid, grace_period_s=0)
        elif not pod_rules.is_ready(pod) and "broken" not in pod.spec.containers[0].image:
            condition = self._ready_condition()
            number = 2 + int(meta.uid[:4], 16) % 250
            status = {"phase": "Running", "podIP": f"10.0.0.{number}", "conditions": [condition]}
            await self.client.patch(
                PODS,
                meta.name,
                {"metadata": {"uid": meta.uid}, "status": status},
                namespace=meta.namespace,
                patch_type=STRATEGIC_MERGE_PATCH,
                subresource="status",
            )

    def _ready_condition(self) -> dict[str, str]:
        now = timestamp(self.clock)
        return {"type": "Ready", "status": "True", "lastTransitionTime": now, "lastHeartbeatTime": now}


@contextlib.asynccontextmanager
async def world(seed: int, faults: Faults = CALM, *, nodes: int = 2, pods_per_node: int = 30) -> AsyncIterator[World]:
    """A cluster with its components started; what they raise is raised here."""
    async with local_api(clock=LoopClock(), seed=seed) as api, asyncio.TaskGroup() as tasks:
        made = World(api, seed, faults, nodes=nodes, pods_per_node=pods_per_node)
        background = [tasks.create_task(one.run()) for one in (made.pods, made.replicasets, made.deployments)]
        for node in made.kubelets_alive:
            await made.register(node)
            background.append(tasks.create_task(made.run_kubelet(node)))
        made.start("scheduler")
        made.start("controllers")
        yield made
        for name in list(made._tasks):
            await made.kill(name)
        for task in background:
            task.cancel()


def deployment(name: str = "web", replicas: int = 3, image: str = "v1", **spec: Any) -> dict[str, Any]:
    """A Deployment of one container."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template} | spec,
    }
