"""The nodes and what runs on them, kept up to date event by event: what a scheduling cycle looks at.

A pod that was bound, but not yet seen to be, is *assumed*: it counts at once, so that the next pod does not get the
same room. The assumption ends when the informer shows the pod bound, or gone, or when binding fails.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from minik8s.api.core_v1 import Node, Pod
from minik8s.control.scheduler.podinfo import CPU, MEMORY, Amounts, PodInfo, amounts, pod_info


@dataclass(slots=True)
class NodeInfo:
    """A node, its pods, and sums over them."""

    name: str
    node: Node | None = None  # None: only pods are known of it
    allocatable: Amounts = field(default_factory=dict)
    pods: dict[str, PodInfo] = field(default_factory=dict)  # by uid
    requested: Amounts = field(default_factory=dict)
    scored: Amounts = field(default_factory=lambda: {CPU: 0, MEMORY: 0})

    def add(self, info: PodInfo) -> None:
        """Count a pod; once, however often it is said."""
        if info.uid in self.pods:
            self.remove(info.uid)
        self.pods[info.uid] = info
        _sum(self.requested, info.requests, 1)
        _sum(self.scored, info.scored, 1)

    def remove(self, uid: str) -> None:
        """Count a pod no longer."""
        info = self.pods.pop(uid, None)
        if info is not None:
            _sum(self.requested, info.requests, -1)
            _sum(self.scored, info.scored, -1)


class Snapshot:
    """All nodes by name; pods are found by uid."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        self._places: dict[str, str] = {}  # pod's uid → node
        self._assumed: set[str] = set()

    def nodes(self) -> list[NodeInfo]:
        """The nodes that exist, in order of first sight."""
        return [info for info in self._nodes.values() if info.node is not None]

    def set_node(self, node: Node) -> None:
        """A node was added or changed."""
        assert node.metadata is not None and node.metadata.name is not None
        info = self._node(node.metadata.name)
        info.node = node
        info.allocatable = amounts((node.status and (node.status.allocatable or node.status.capacity)) or {})

    def delete_node(self, name: str) -> None:
        """A node went; its pods may stay a while."""
        info = self._node(name)
        info.node = None
        self._forget_if_empty(info)

    def set_pod(self, pod: Pod) -> None:
        """A bound pod was added or changed; a finished one takes no room."""
        assert pod.spec is not None and pod.metadata is not None
        uid = pod.metadata.uid or ""
        if is_finished(pod):
            self.delete_pod(uid)
        elif pod.spec.nodeName:
            self._assumed.discard(uid)
            self._place(pod_info(pod), pod.spec.nodeName)

    def delete_pod(self, uid: str) -> None:
        """A pod went."""
        self._assumed.discard(uid)
        name = self._places.pop(uid, None)
        if name is not None:
            info = self._node(name)
            info.remove(uid)
            self._forget_if_empty(info)

    def assume(self, info: PodInfo, node_name: str) -> None:
        """A pod is about to be bound."""
        self._assumed.add(info.uid)
        self._place(info, node_name)

    def unassume(self, uid: str) -> None:
        """Binding failed. Harmless if the pod has been seen bound."""
        if uid in self._assumed:
            self.delete_pod(uid)

    def is_placed(self, uid: str) -> bool:
        """Whether a pod is bound, or about to be."""
        return uid in self._places

    def _place(self, info: PodInfo, node_name: str) -> None:
        before = self._places.get(info.uid)
        if before is not None and before != node_name:
            self._node(before).remove(info.uid)
        self._places[info.uid] = node_name
        self._node(node_name).add(info)

    def _node(self, name: str) -> NodeInfo:
        return self._nodes.setdefault(name, NodeInfo(name))

    def _forget_if_empty(self, info: NodeInfo) -> None:
        if info.node is None and not info.pods:
            self._nodes.pop(info.name, None)


def is_finished(pod: Pod) -> bool:
    """Whether the pod takes no room any more."""
    return pod.status is not None and pod.status.phase in ("Succeeded", "Failed")


def snapshot_of(nodes: Iterable[Node], pods: Iterable[Pod] = ()) -> Snapshot:
    """A Snapshot of objects at hand."""
    snapshot = Snapshot()
    for node in nodes:
        snapshot.set_node(node)
    for pod in pods:
        snapshot.set_pod(pod)
    return snapshot


def _sum(total: Amounts, more: Amounts, sign: int) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + sign * amount
