"""NodeResourcesFit and NodeResourcesBalancedAllocation: is there room, and where is the most of it."""

from collections.abc import Sequence

from minik8s.control.scheduler.podinfo import CPU, MEMORY, PODS, PodInfo
from minik8s.control.scheduler.snapshot import NodeInfo

FIT = "NodeResourcesFit"
BALANCED = "NodeResourcesBalancedAllocation"


def filter_node(info: PodInfo, node: NodeInfo) -> Sequence[str]:
    """Every resource that is too short."""
    found = []
    if len(node.pods) + 1 > node.allocatable.get(PODS, 0):
        found.append("Too many pods")
    for name, wanted in info.requests.items():
        if wanted > 0 and wanted > node.allocatable.get(name, 0) - node.requested.get(name, 0):
            found.append(f"Insufficient {name}")
    return found


def score_least_allocated(info: PodInfo, node: NodeInfo) -> int:
    """The mean share of cpu and memory that would stay free."""
    scores = []
    for name in (CPU, MEMORY):
        capacity = node.allocatable.get(name, 0)
        if capacity:
            used = node.scored[name] + info.scored[name]
            scores.append(max(0, capacity - used) * 100 // capacity)
    return sum(scores) // len(scores) if scores else 0


def score_balanced(info: PodInfo, node: NodeInfo) -> int:
    """How alike the shares of cpu and memory in use would be: half their difference is what is lost."""
    shares = []
    for name in (CPU, MEMORY):
        capacity = node.allocatable.get(name, 0)
        if capacity:
            used = node.requested.get(name, 0) + info.requests.get(name, 0)
            shares.append(min(1.0, used / capacity))
    return int((1 - abs(shares[0] - shares[1]) / 2) * 100) if len(shares) == 2 else 0
