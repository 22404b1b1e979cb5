"""The scheduler: gives every pod without a node one.

    pods, nodes ──informers──▶ Snapshot, SchedulingQueue ──▶ cycle.schedule ──▶ assume ──▶ pods/binding
                                                                    └─ no node: event, condition, wait

Cycles run one after another; bindings run beside them, at most 32 at once (cycles wait when there are more). A pod
is assumed from its cycle on, so two cycles never spend the same room. That no pod is bound twice is the API's promise
(pods/binding refuses a pod that has a node); here a binding of unknown outcome is looked up, not repeated blindly.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from minik8s.api.core_v1 import NODES, PODS, Node, Pod
from minik8s.api.errors import StatusError
from minik8s.api.meta_v1 import key_of
from minik8s.api.request import STRATEGIC_MERGE_PATCH
from minik8s.client.client import Client
from minik8s.client.events import NORMAL, WARNING, EventRecorder
from minik8s.client.informer import Informer
from minik8s.client.leader import LeaderElection, Timing
from minik8s.control.scheduler import cycle
from minik8s.control.scheduler.plugins import FILTERS, SCORES, nodeports, noderesources, wakes
from minik8s.control.scheduler.podinfo import PodInfo, pod_info
from minik8s.control.scheduler.queue import SchedulingQueue
from minik8s.control.scheduler.snapshot import Snapshot, is_finished, snapshot_of
from minik8s.kit.backoff import Backoff
from minik8s.kit.clock import Clock, timestamp
from minik8s.kit.health import Check
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_ROOM_PLUGINS = frozenset({noderesources.FIT, nodeports.NAME})


@dataclass(frozen=True, slots=True)
class Config:
    """The scheduler's knobs."""

    scheduler_name: str = "default-scheduler"  # pods ask for it in spec.schedulerName
    bindings_max: int = 32  # under way at once
    leader_elect: bool = True
    timing: Timing = field(default_factory=Timing)  # of the Lease


class Scheduler:
    """The component `scheduler`."""

    name = "scheduler"

    def __init__(self, config: Config, client: Client, *, clock: Clock, rng: random.Random, identity: str) -> None:
        self.registry = CollectorRegistry()
        self._config = config
        self._client = client
        self._clock = clock
        self._rng = rng
        self._events = EventRecorder(client, config.scheduler_name, clock=clock)
        self._queue = SchedulingQueue(clock)
        self._snapshot = Snapshot()
        self._bindings = asyncio.Semaphore(config.bindings_max)
        self._pods = Informer(client, PODS, clock=clock, rng=rng)
        self._nodes = Informer(client, NODES, clock=clock, rng=rng)
        self._pods.add_handler(self._pod_changed)
        self._nodes.add_handler(self._node_changed)
        self._election = LeaderElection(
            client, "kube-scheduler", identity=identity, clock=clock, rng=rng, timing=config.timing
        )
        self._attempts = Counter(
            "scheduler_schedule_attempts", "Scheduling attempts", ["result", "profile"], registry=self.registry
        )
        self._duration = Histogram("scheduler_scheduling_algorithm_duration_seconds", "Cycles", registry=self.registry)
        pending = Gauge("scheduler_pending_pods", "Pods without a node", registry=self.registry)
        pending.set_function(lambda: len(self._queue))

    def checks(self) -> Mapping[str, Check]:
        """What /readyz asks."""
        return {"informer-sync": self._unsynced}

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run())
            tasks.create_task(self._nodes.run())
            tasks.create_task(self._events.run())
            if self._config.leader_elect:
                await self._election.run(self._lead)
            else:
                await self._lead()

    async def _lead(self) -> None:
        """Place pods, beginning with a fresh look: what was assumed under an earlier lead is not known any more."""
        await self._catch_up()
        self._snapshot = snapshot_of(self._nodes.items.values(), self._pods.items.values())
        self._queue.clear()
        for pod in self._pods.items.values():
            self._enqueue(pod)
        async with asyncio.TaskGroup() as tasks:
            while True:
                key = await self._queue.pop()
                pod = self._pods.get(key)
                if pod is None or not self._is_waiting(pod):
                    self._queue.delete(key)
                    continue
                await self._bindings.acquire()
                tasks.create_task(self._place(key, pod))
                # Informers and bindings get their turn between cycles.
                await asyncio.sleep(0)

    async def _place(self, key: str, pod: Pod) -> None:
        """One cycle, and the write that follows from it. The cycle itself runs before the first await."""
        try:
            info = pod_info(pod)
            with self._duration.time():
                decision = cycle.schedule(info, self._snapshot.nodes(), filters=FILTERS, scores=SCORES, rng=self._rng)
            if decision.node:
                self._snapshot.assume(info, decision.node)
                await self._bind(key, info, decision.node)
            else:
                self._queue.failed(key, decision.plugins)
                self._count("unschedulable")
                self._events.event(pod, WARNING, "FailedScheduling", decision.message())
                await self._mark_unschedulable(pod, decision.message())
        except StatusError as error:
            log.info("scheduling failed", pod=key, reason=error.reason, error=error.message)
        finally:
            self._bindings.release()

    async def _bind(self, key: str, info: PodInfo, node: str) -> None:
        meta = info.pod.metadata
        assert meta is not None and meta.name is not None
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._client.create_subresource(PODS, meta.name, "binding", binding, namespace=meta.namespace or "")
        except StatusError as error:
            if not await self._is_bound(info, node, error):
                self._snapshot.unassume(info.uid)
                self._queue.retry(key)
                self._count("error")
                self._events.event(info.pod, WARNING, "FailedScheduling", f"binding rejected: {error.message}")
                raise
        self._queue.delete(key)
        self._count("scheduled")
        log.info("pod bound", pod=key, node=node)
        self._events.event(info.pod, NORMAL, "Scheduled", f"Successfully assigned {key} to {node}")

    async def _is_bound(self, info: PodInfo, node: str, error: StatusError) -> bool:
        """Whether a binding that failed has taken place after all. Raises StatusError if that cannot be told."""
        if error.code < 500 and error.reason != "Conflict":
            return False
        meta = info.pod.metadata
        assert meta is not None and meta.name is not None
        try:
            live = await self._client.get(PODS, meta.name, namespace=meta.namespace or "")
        except StatusError:
            return False  # tried again later; then the API refuses if it was bound
        is_same = live.metadata is not None and live.metadata.uid == meta.uid
        return is_same and live.spec is not None and live.spec.nodeName == node

    async def _mark_unschedulable(self, pod: Pod, message: str) -> None:
        """Say in the pod's condition why it has no node, unless it says so already."""
        for one in (pod.status and pod.status.conditions) or ():
            if one.type == "PodScheduled" and (one.status, one.message) == ("False", message):
                return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": timestamp(self._clock),
        }
        meta = pod.metadata
        assert meta is not None and meta.name is not None
        await self._client.patch(
            PODS,
            meta.name,
            {"metadata": {"uid": meta.uid}, "status": {"conditions": [condition]}},
            namespace=meta.namespace or "",
            patch_type=STRATEGIC_MERGE_PATCH,
            subresource="status",
        )

    def _pod_changed(self, type_: str, old: Any, new: Any) -> None:
        key = key_of(new)
        if type_ == "DELETED":
            self._queue.delete(key)
            self._snapshot.delete_pod(new.metadata.uid or "")
            self._queue.wake(_ROOM_PLUGINS)
        elif new.spec.nodeName:
            self._queue.delete(key)
            self._snapshot.set_pod(new)
            if is_finished(new):
                self._queue.wake(_ROOM_PLUGINS)
        elif old is None or old.spec != new.spec or old.metadata.labels != new.metadata.labels:
            # A change of status alone is our own condition.
            self._enqueue(new)

    def _node_changed(self, type_: str, old: Node | None, new: Node) -> None:
        assert new.metadata is not None and new.metadata.name is not None
        if type_ == "DELETED":
            self._snapshot.delete_node(new.metadata.name)
            return
        self._snapshot.set_node(new)
        if old is None:
            self._queue.wake()
        elif concerned := wakes(old, new):
            self._queue.wake(concerned)

    def _enqueue(self, pod: Pod) -> None:
        if self._is_waiting(pod):
            self._queue.add(key_of(pod), (pod.spec and pod.spec.priority) or 0)

    def _is_waiting(self, pod: Pod) -> bool:
        """Whether the pod is ours to place now."""
        spec, meta = pod.spec, pod.metadata
        assert spec is not None and meta is not None
        return (
            not spec.nodeName
            and meta.deletionTimestamp is None
            and not is_finished(pod)
            and (spec.schedulerName or "default-scheduler") == self._config.scheduler_name
            and not spec.schedulingGates
            and not self._snapshot.is_placed(meta.uid or "")
        )

    async def _catch_up(self) -> None:
        """Wait until the caches show all that an earlier leader did."""
        await self._pods.synced.wait()
        await self._nodes.synced.wait()
        backoff = Backoff(self._rng)
        while True:
            try:
                revision = await self._client.current_revision(NODES)
                await self._pods.reach(revision)
                await self._nodes.reach(revision)
                return
            except (StatusError, TimeoutError) as error:
                log.info("waiting for caches", error=str(error))
                await asyncio.sleep(backoff.next_s())

    def _count(self, result: str) -> None:
        self._attempts.labels(result, self._config.scheduler_name).inc()

    def _unsynced(self) -> str | None:
        waiting = [one.kind.plural for one in (self._pods, self._nodes) if not one.synced.is_set()]
        return f"not yet listed: {', '.join(waiting)}" if waiting else None
