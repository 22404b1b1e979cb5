"""Nodes that fall silent: marked, tainted, and their pods moved to where they run.

`nodehealth` decides. What is kept here is when each node was last heard of, by our own clock since we began to watch:
a controller that starts, or takes over, gives every node a whole grace period before it calls one dead.
"""

from collections.abc import Awaitable, Iterable

from minik8s.api.coordination_v1 import LEASES, Lease
from minik8s.api.core_v1 import NODES, PODS, Node, Pod, Taint
from minik8s.api.errors import StatusError
from minik8s.api.meta_v1 import key_of
from minik8s.api.request import STRATEGIC_MERGE_PATCH
from minik8s.client.controller import Writes
from minik8s.client.events import NORMAL
from minik8s.control.controllers import pods as pod_rules
from minik8s.control.controllers.context import Context, Watch
from minik8s.control.controllers.nodehealth import (
    Pulse,
    desired_taints,
    eviction_in_s,
    is_full_disruption,
    ready_status,
    unknown_conditions,
)
from minik8s.kit.clock import timestamp
from minik8s.kit.log import get_logger

log = get_logger(__name__)

LEASE_NAMESPACE = "kube-node-lease"


class NodeLifecycleController:
    """Keys are Nodes."""

    name = "nodelifecycle"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._grace_s = context.config.node_monitor_grace_s
        self._nodes = context.informer(NODES)
        self._pods = context.informer(PODS)
        self._leases = context.informer(LEASES)
        self._pods.add_index("node", lambda pod: [pod.spec.nodeName] if pod.spec and pod.spec.nodeName else [])
        self._pulses: dict[str, Pulse] = {}

    def watches(self) -> Iterable[Watch]:
        # Not the Leases, which change all the time and mean that all is well; each look reads them.
        return (Watch(NODES, lambda node: [key_of(node)]), Watch(PODS, self._keys_of_pod))

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        node = self._nodes.get(key)
        if node is None:
            self._pulses.pop(key, None)
            return None
        clock = self._context.clock
        pulse = self._pulses.setdefault(key, Pulse())
        pulse.see(_sign_of_life(node, self._leases.get(f"{LEASE_NAMESPACE}/{key}")), clock.monotonic_s())
        left_s = pulse.seen_s + self._grace_s - clock.monotonic_s()
        if left_s <= 0 and (patches := unknown_conditions(node, clock.now_s())):
            log.warning("node fell silent", node=key, grace_s=self._grace_s)
            status = {"status": {"conditions": patches}}
            await writes.patch(NODES, key, status, patch_type=STRATEGIC_MERGE_PATCH, subresource="status")
            self._tell(node, "NodeNotReady", f"Node {key} status is now: NodeNotReady")
            return 0.0  # the rest follows from the conditions
        evict = not is_full_disruption(list(self._nodes.items.values()))
        taints = desired_taints(node, evict=evict, now_s=clock.now_s())
        if taints is not None:
            # The list is replaced as a whole, so it must be the one that was read.
            meta = {"resourceVersion": node.metadata.resourceVersion}
            await writes.patch(NODES, key, {"metadata": meta, "spec": {"taints": taints or None}})
            return 0.0
        pods = self._pods.by_index("node", key)
        if ready_status(node) != "True":
            await self._mark_not_ready(pods, writes)
        waits = [await self._evict(node, pod, writes) for pod in pods]
        # While it is heard of, look when its grace would end; once silent, whether it comes back is a change of it.
        waits.append(max(left_s, 0.05) if left_s > 0 else self._grace_s)
        return min(wait for wait in waits if wait is not None)

    def _keys_of_pod(self, pod: Pod) -> Iterable[str]:
        """Only pods on nodes in trouble: the others have nothing to fear."""
        name = pod.spec.nodeName if pod.spec else None
        node = self._nodes.get(name) if name else None
        if name and node is not None and (ready_status(node) != "True" or _no_execute(node)):
            yield name

    async def _mark_not_ready(self, pods: Iterable[Pod], writes: Writes) -> None:
        """Take the pods of a lost node out of their Services: their kubelet cannot."""
        for pod in pods:
            if not pod_rules.is_ready(pod):
                continue
            condition = {
                "type": "Ready",
                "status": "False",
                "reason": "NodeNotReady",
                "lastTransitionTime": timestamp(self._context.clock),
            }
            patch = {"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}}
            await self._unless_gone(
                writes.patch(
                    PODS,
                    pod.metadata.name,
                    patch,
                    namespace=pod.metadata.namespace,
                    patch_type=STRATEGIC_MERGE_PATCH,
                    subresource="status",
                )
            )

    async def _evict(self, node: Node, pod: Pod, writes: Writes) -> float | None:
        """Delete the pod if its time on this node is over; else the seconds it has."""
        if pod_rules.is_terminating(pod):
            return None
        left_s = eviction_in_s(pod, _no_execute(node), self._context.clock.now_s())
        if left_s is None or left_s > 0:
            return left_s
        meta = pod.metadata
        self._tell(pod, "TaintManagerEviction", f"Marking for deletion Pod {key_of(pod)}")
        await self._unless_gone(writes.delete(PODS, meta.name, namespace=meta.namespace, uid=meta.uid))
        return None

    def _tell(self, obj: Node | Pod, reason: str, message: str) -> None:
        self._context.events.event(obj, NORMAL, reason, message, component="node-controller")

    @staticmethod
    async def _unless_gone(call: Awaitable[object]) -> None:
        try:
            await call
        except StatusError as error:
            if error.reason not in ("NotFound", "Conflict"):
                raise


def _sign_of_life(node: Node, lease: Lease | None) -> tuple[object, ...]:
    """Changes with every renewal of the Lease and every heartbeat in the status."""
    conditions = (node.status.conditions if node.status else None) or ()
    beats = tuple(one.lastHeartbeatTime for one in conditions)
    return (node.metadata.uid, beats, lease.spec.renewTime if lease and lease.spec else None)


def _no_execute(node: Node) -> list[Taint]:
    return [taint for taint in (node.spec.taints if node.spec else None) or () if taint.effect == "NoExecute"]
