"""NodeUnschedulable: cordoned nodes take only pods that tolerate it."""

from collections.abc import Sequence

from minik8s.api.core_v1 import Taint
from minik8s.control.scheduler.plugins.tainttoleration import is_tolerated
from minik8s.control.scheduler.podinfo import PodInfo
from minik8s.control.scheduler.snapshot import NodeInfo

NAME = "NodeUnschedulable"

_TAINT = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


def filter_node(info: PodInfo, node: NodeInfo) -> Sequence[str]:
    """Whether the node is cordoned."""
    spec = node.node.spec if node.node else None
    if spec is None or not spec.unschedulable or is_tolerated(info, _TAINT):
        return ()
    return ("node(s) were unschedulable",)
