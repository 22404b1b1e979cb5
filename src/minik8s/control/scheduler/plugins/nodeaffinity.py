"""NodeAffinity: nodeSelector and node affinity, required and preferred."""

from collections.abc import Iterable, Sequence
from typing import Any

from minik8s.control.scheduler.podinfo import PodInfo
from minik8s.control.scheduler.snapshot import NodeInfo

NAME = "NodeAffinity"

_REASON = ("node(s) didn't match Pod's node affinity/selector",)


def filter_node(info: PodInfo, node: NodeInfo) -> Sequence[str]:
    """Whether the node is one that the pod asks for."""
    spec = info.pod.spec
    labels = _labels(node)
    if spec is None or ((spec.nodeSelector or {}).items() - labels.items()):
        return _REASON
    affinity = spec.affinity.nodeAffinity if spec.affinity else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity else None
    if required is not None and not any(_term_matches(term, node) for term in required.nodeSelectorTerms):
        return _REASON
    return ()


def score_node(info: PodInfo, node: NodeInfo) -> int:
    """The share of the preferences' weights that the node meets."""
    spec = info.pod.spec
    affinity = spec.affinity.nodeAffinity if spec and spec.affinity else None
    preferred = (affinity.preferredDuringSchedulingIgnoredDuringExecution if affinity else None) or ()
    total = sum(term.weight for term in preferred)
    met = sum(term.weight for term in preferred if _term_matches(term.preference, node))
    return 100 * met // total if total else 0


def _term_matches(term: Any, node: NodeInfo) -> bool:
    """All of a term's requirements hold; a term without any matches nothing."""
    if not term.matchExpressions and not term.matchFields:
        return False
    return _all_hold(term.matchExpressions or (), _labels(node)) and _all_hold(
        term.matchFields or (), {"metadata.name": node.name}
    )


def _all_hold(requirements: Iterable[Any], labels: dict[str, str]) -> bool:
    return all(_holds(one.operator, one.values or [], labels.get(one.key)) for one in requirements)


def _holds(operator: str, values: Sequence[str], value: str | None) -> bool:
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            try:
                have, bound = int(value or ""), int(values[0])
            except (ValueError, IndexError):
                return False
            return have > bound if operator == "Gt" else have < bound
        case _:
            return False


def _labels(node: NodeInfo) -> dict[str, str]:
    return (node.node.metadata.labels if node.node and node.node.metadata else None) or {}
