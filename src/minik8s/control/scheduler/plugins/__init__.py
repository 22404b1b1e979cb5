"""Scheduler plugins, one file each. FILTERS in the order they are asked; SCORES with upstream's default weights."""

from minik8s.api.core_v1 import Node
from minik8s.control.scheduler.cycle import Filter, Score
from minik8s.control.scheduler.plugins import (
    nodeaffinity,
    nodename,
    nodeports,
    noderesources,
    nodeunschedulable,
    tainttoleration,
)

# The cheapest first; upstream's order.
FILTERS: dict[str, Filter] = {
    nodeunschedulable.NAME: nodeunschedulable.filter_node,
    nodename.NAME: nodename.filter_node,
    tainttoleration.NAME: tainttoleration.filter_node,
    nodeaffinity.NAME: nodeaffinity.filter_node,
    nodeports.NAME: nodeports.filter_node,
    noderesources.FIT: noderesources.filter_node,
}

SCORES: dict[str, tuple[Score, int]] = {
    tainttoleration.NAME: (tainttoleration.score_node, 3),
    nodeaffinity.NAME: (nodeaffinity.score_node, 2),
    noderesources.FIT: (noderesources.score_least_allocated, 1),
    noderesources.BALANCED: (noderesources.score_balanced, 1),
}


def wakes(old: Node, new: Node) -> frozenset[str]:
    """The plugins that may judge otherwise after this change of a node: heartbeats wake nobody."""
    assert old.spec is not None and new.spec is not None and old.metadata is not None and new.metadata is not None
    found = set()
    if old.metadata.labels != new.metadata.labels:
        found.add(nodeaffinity.NAME)
    if old.spec.taints != new.spec.taints:
        found |= {tainttoleration.NAME, nodeunschedulable.NAME}
    if old.spec.unschedulable != new.spec.unschedulable:
        found.add(nodeunschedulable.NAME)
    if (old.status and old.status.allocatable) != (new.status and new.status.allocatable):
        found.add(noderesources.FIT)
    return frozenset(found)
