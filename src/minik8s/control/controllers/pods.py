"""What controllers ask of a pod: active, ready, available, and which to give up first. Pure; as upstream's podutils."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from minik8s.api.core_v1 import Pod, PodCondition

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


def is_active(pod: Pod) -> bool:
    """Counts towards replicas: neither finished nor going away."""
    return phase(pod) not in ("Succeeded", "Failed") and not is_terminating(pod)


def is_terminating(pod: Pod) -> bool:
    """Is going away."""
    return pod.metadata is not None and pod.metadata.deletionTimestamp is not None


def phase(pod: Pod) -> str:
    """The phase; Pending if there is none yet."""
    return (pod.status and pod.status.phase) or "Pending"


def condition(pod: Pod, type_: str) -> PodCondition | None:
    """The condition of that type."""
    conditions = (pod.status.conditions if pod.status else None) or ()
    return next((one for one in conditions if one.type == type_), None)


def is_ready(pod: Pod) -> bool:
    """Has Ready=True."""
    ready = condition(pod, "Ready")
    return ready is not None and ready.status == "True"


def ready_since_s(pod: Pod) -> float | None:
    """When it became ready, in seconds since the epoch; None if it is not."""
    ready = condition(pod, "Ready")
    if ready is None or ready.status != "True":
        return None
    return _seconds(ready.lastTransitionTime) or 0.0


def available_in_s(pod: Pod, min_ready_s: int, now_s: float) -> float | None:
    """0 if the pod is available, else the seconds until it is if it stays ready; None if it is not ready."""
    since_s = ready_since_s(pod)
    if since_s is None:
        return None
    return max(0.0, since_s + min_ready_s - now_s) if min_ready_s else 0.0


def victims(pods: Sequence[Pod], count: int, *, related: Iterable[Pod], now_s: float) -> list[Pod]:
    """The `count` pods to delete first, as upstream ranks them.

    Unassigned before assigned, pending before running, not ready before ready, cheaper (pod-deletion-cost) first, those
    on nodes with more `related` pods first, then those ready for a shorter time, more often restarted, younger.
    """
    on_node: dict[str, int] = {}
    for pod in related:
        name = _node(pod)
        if name:
            on_node[name] = on_node.get(name, 0) + 1

    def rank(pod: Pod) -> tuple[object, ...]:
        assert pod.metadata is not None
        node = _node(pod)
        since_s = ready_since_s(pod)
        created_s = _seconds(pod.metadata.creationTimestamp) or now_s
        return (
            bool(node),
            _PHASE_RANK.get(phase(pod), 2),
            since_s is not None,
            _deletion_cost(pod),
            -on_node.get(node, 0),
            _age_bucket(now_s - since_s) if since_s is not None else 0,
            -_restarts(pod),
            _age_bucket(now_s - created_s),
            # Total, so that two looks at the same pods agree.
            -created_s,
            pod.metadata.name,
        )

    return sorted(pods, key=rank)[:count]


def _node(pod: Pod) -> str:
    return (pod.spec and pod.spec.nodeName) or ""


def _age_bucket(age_s: float) -> int:
    # As upstream's LogarithmicScaleDown: ages within a factor of two are equal.
    return int(math.log2(age_s)) if age_s >= 1 else 0


def _deletion_cost(pod: Pod) -> int:
    assert pod.metadata is not None
    try:
        return int((pod.metadata.annotations or {}).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _restarts(pod: Pod) -> int:
    statuses = (pod.status.containerStatuses if pod.status else None) or ()
    return max((status.restartCount for status in statuses), default=0)


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
