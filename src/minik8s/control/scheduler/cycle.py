"""One scheduling cycle: a pod and the nodes in, a node or the reasons why none out. Pure.

Filters are asked in the order of `plugins.FILTERS`, the first reason rules a node out. Of the nodes that are left the
one with the highest weighted sum of scores (0 to 100 each) is taken; ties are broken by the random source handed in.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from minik8s.control.scheduler.podinfo import PodInfo
from minik8s.control.scheduler.snapshot import NodeInfo

Filter = Callable[[PodInfo, NodeInfo], Sequence[str]]
"""The reasons why a pod cannot run on a node; empty if it can."""

Score = Callable[[PodInfo, NodeInfo], int]
"""How well a pod fits a node that can take it: 0 to 100."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a pod goes."""

    node: str = ""  # "": nowhere
    reasons: Mapping[str, Sequence[str]] = field(default_factory=dict)  # node → why not
    plugins: frozenset[str] = frozenset()  # names of the filters that ruled nodes out

    def message(self) -> str:
        """Why the pod is not scheduled, as upstream words it."""
        counts = Counter(reason for reasons in self.reasons.values() for reason in reasons)
        if not self.reasons:
            return "no nodes available to schedule pods"
        found = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
        return f"0/{len(self.reasons)} nodes are available: {found}."


def schedule(
    info: PodInfo,
    nodes: Sequence[NodeInfo],
    *,
    filters: Mapping[str, Filter],
    scores: Mapping[str, tuple[Score, int]],
    rng: random.Random,
) -> Decision:
    """`filters` by plugin, in order; `scores` by plugin, with weights."""
    feasible: list[NodeInfo] = []
    reasons: dict[str, Sequence[str]] = {}
    plugins: set[str] = set()
    for node in nodes:
        for name, allows in filters.items():
            against = allows(info, node)
            if against:
                reasons[node.name] = against
                plugins.add(name)
                break
        else:
            feasible.append(node)
    if not feasible:
        return Decision(reasons=reasons, plugins=frozenset(plugins))
    if len(feasible) == 1:
        return Decision(feasible[0].name)
    totals = [sum(score(info, node) * weight for score, weight in scores.values()) for node in feasible]
    best = max(totals)
    return Decision(rng.choice([node for node, total in zip(feasible, totals, strict=True) if total == best]).name)
