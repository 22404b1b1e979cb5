"""NodeName: a pod that names a node runs there or nowhere."""

from collections.abc import Sequence

from minik8s.control.scheduler.podinfo import PodInfo
from minik8s.control.scheduler.snapshot import NodeInfo

NAME = "NodeName"


def filter_node(info: PodInfo, node: NodeInfo) -> Sequence[str]:
    """Whether the pod's nodeName is another's."""
    wanted = info.pod.spec.nodeName if info.pod.spec else None
    return ("node(s) didn't match the requested node name",) if wanted and wanted != node.name else ()
