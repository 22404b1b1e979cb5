"""What a Deployment's status says: counts, and the conditions Available, Progressing and ReplicaFailure. Pure.

Reasons and messages are upstream's: `kubectl rollout status` and people's alerts read them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from minik8s.api.apps_v1 import Deployment, DeploymentStatus, ReplicaSet
from minik8s.control.controllers.rollout import Bounds, size

NEW_AVAILABLE = "NewReplicaSetAvailable"
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"

Condition = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StatusPlan:
    """The status to write, and when to look again for the progress deadline."""

    status: dict[str, Any]
    again_s: float | None


def status_of(
    deployment: Deployment,
    bounds: Bounds,
    new: ReplicaSet | None,
    old: Sequence[ReplicaSet],
    *,
    collisions: int,
    created: str = "",
    found: str = "",
    now_s: float,
) -> StatusPlan:
    """The status now. `created`, `found`: the name of the ReplicaSet that a rollout has just begun with."""
    assert deployment.metadata is not None
    everyone = [*old, new] if new else list(old)
    total_available = sum((one.status and one.status.availableReplicas) or 0 for one in everyone)
    counts: dict[str, Any] = {
        "observedGeneration": deployment.metadata.generation or 0,
        "replicas": sum(one.status.replicas if one.status else 0 for one in everyone),
        "updatedReplicas": new.status.replicas if new and new.status else 0,
        "readyReplicas": sum((one.status and one.status.readyReplicas) or 0 for one in everyone),
        "availableReplicas": total_available,
        "unavailableReplicas": max(0, sum(map(size, everyone)) - total_available),
        "collisionCount": collisions or None,
    }
    before = deployment.status or DeploymentStatus()
    conditions = {one.type: msgspec.to_builtins(one) for one in before.conditions or ()}
    is_available = total_available >= bounds.minimum
    _set(
        conditions,
        "Available",
        "True" if is_available else "False",
        "MinimumReplicasAvailable" if is_available else "MinimumReplicasUnavailable",
        "Deployment has minimum availability." if is_available else "Deployment does not have minimum availability.",
        now_s,
    )
    again_s = _set_progress(conditions, deployment, bounds, new, counts, created, found, now_s)
    _set_failure(conditions, new, old, now_s)
    return StatusPlan(counts | {"conditions": list(conditions.values())}, again_s)


def _set_progress(
    conditions: dict[str, Condition],
    deployment: Deployment,
    bounds: Bounds,
    new: ReplicaSet | None,
    counts: dict[str, Any],
    created: str,
    found: str,
    now_s: float,
) -> float | None:
    assert deployment.spec is not None and deployment.metadata is not None
    deadline_s = deployment.spec.progressDeadlineSeconds
    if deadline_s is None or deadline_s == 2**31 - 1:  # upstream's "none"
        conditions.pop("Progressing", None)
        return None
    current = conditions.get("Progressing")
    if deployment.spec.paused:
        if current is None or current.get("reason") not in ("DeploymentPaused", DEADLINE_EXCEEDED):
            _set(conditions, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now_s)
        return None
    if current is not None and current.get("reason") == "DeploymentPaused":
        _set(conditions, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now_s)
    elif created:
        _set(conditions, "Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{created}"', now_s)
        return float(deadline_s)
    elif found:
        _set(conditions, "Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{found}"', now_s)
    current = conditions.get("Progressing")
    subject = (
        f'ReplicaSet "{new.metadata.name}"' if new and new.metadata else f'Deployment "{deployment.metadata.name}"'
    )
    if counts["replicas"] == counts["updatedReplicas"] and current is not None and current["reason"] == NEW_AVAILABLE:
        return None
    if bounds.replicas == counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"]:
        _set(conditions, "Progressing", "True", NEW_AVAILABLE, f"{subject} has successfully progressed.", now_s)
        return None
    if found:
        return float(deadline_s)
    if current is None or _has_progressed(deployment.status or DeploymentStatus(), counts):
        # Every step of progress restarts the deadline.
        conditions.setdefault("Progressing", {})["lastUpdateTime"] = ""
        _set(conditions, "Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", now_s)
        return float(deadline_s)
    if current["reason"] in (NEW_AVAILABLE, DEADLINE_EXCEEDED):
        return None
    left_s = _seconds(current.get("lastUpdateTime")) + deadline_s - now_s
    if left_s > 0:
        return left_s + 1
    _set(conditions, "Progressing", "False", DEADLINE_EXCEEDED, f"{subject} has timed out progressing.", now_s)
    return None


def _set_failure(
    conditions: dict[str, Condition], new: ReplicaSet | None, old: Sequence[ReplicaSet], now_s: float
) -> None:
    """Pass on the first ReplicaSet's failure to create or delete pods: the new one's before the others'."""
    for replicaset in [*([new] if new else []), *old]:
        for failure in (replicaset.status and replicaset.status.conditions) or ():
            if failure.type == "ReplicaFailure" and failure.status == "True":
                _set(conditions, "ReplicaFailure", "True", failure.reason or "", failure.message or "", now_s)
                return
    conditions.pop("ReplicaFailure", None)


def _has_progressed(before: DeploymentStatus, counts: dict[str, Any]) -> bool:
    old_before = (before.replicas or 0) - (before.updatedReplicas or 0)
    return (
        counts["updatedReplicas"] > (before.updatedReplicas or 0)
        or counts["replicas"] - counts["updatedReplicas"] < old_before
        or counts["readyReplicas"] > (before.readyReplicas or 0)
        or counts["availableReplicas"] > (before.availableReplicas or 0)
    )


def _set(conditions: dict[str, Condition], type_: str, status: str, reason: str, message: str, now_s: float) -> None:
    """Set a condition; its times move only when its status or reason does, as upstream's SetDeploymentCondition."""
    before = conditions.get(type_)
    if before and (before.get("status"), before.get("reason")) == (status, reason) and before.get("lastUpdateTime"):
        return
    now = datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    changed = before.get("lastTransitionTime", now) if before and before.get("status") == status else now
    conditions[type_] = {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now,
        "lastTransitionTime": changed,
    }


def _seconds(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
