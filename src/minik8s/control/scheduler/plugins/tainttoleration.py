"""TaintToleration: a node's taints keep pods away that do not tolerate them."""

from collections.abc import Sequence

from minik8s.api.core_v1 import Taint
from minik8s.api.taints import tolerates
from minik8s.control.scheduler.podinfo import PodInfo
from minik8s.control.scheduler.snapshot import NodeInfo

NAME = "TaintToleration"


def filter_node(info: PodInfo, node: NodeInfo) -> Sequence[str]:
    """The first NoSchedule or NoExecute taint that is not tolerated."""
    for taint in (node.node.spec.taints if node.node and node.node.spec else None) or ():
        if taint.effect in ("NoSchedule", "NoExecute") and not is_tolerated(info, taint):
            return (f"node(s) had untolerated taint(s) {{{taint.key}: {taint.value or ''}}}",)
    return ()


def score_node(info: PodInfo, node: NodeInfo) -> int:
    """Fewer untolerated PreferNoSchedule taints are better."""
    taints = (node.node.spec.taints if node.node and node.node.spec else None) or ()
    count = sum(taint.effect == "PreferNoSchedule" and not is_tolerated(info, taint) for taint in taints)
    return max(0, 100 - 10 * count)


def is_tolerated(info: PodInfo, taint: Taint) -> bool:
    """Whether one of the pod's tolerations is for this taint."""
    tolerations = (info.pod.spec.tolerations if info.pod.spec else None) or ()
    return any(tolerates(one, taint) for one in tolerations)
