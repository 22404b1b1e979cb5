"""What a node's silence means: conditions, taints, and which pods have to leave. Pure.

As upstream's node lifecycle controller: a node that renews neither its Lease nor its status for the grace period is
Unknown; a node that is not ready is tainted; pods leave when they do not tolerate a NoExecute taint, or no longer do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from minik8s.api.core_v1 import Node, Pod, Taint
from minik8s.api.taints import tolerates

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
}
_OURS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *_PRESSURES.values()})
_WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


@dataclass(slots=True)
class Pulse:
    """The last sign of life of a node, by our own clock: clocks of machines are never compared."""

    sign: Any = None  # what was seen: changes with each heartbeat
    seen_s: float = 0.0

    def see(self, sign: Any, now_s: float) -> None:
        """Note what the node shows now."""
        if sign != self.sign:
            self.sign, self.seen_s = sign, now_s


def ready_status(node: Node) -> str:
    """True, False or Unknown; Unknown of a node that has never reported."""
    return _status(node, "Ready") or "Unknown"


def unknown_conditions(node: Node, now_s: float) -> list[dict[str, Any]]:
    """The conditions of a silent node, as patches by type; empty if they say so already."""
    found = {one.type: one for one in (node.status.conditions if node.status else None) or ()}
    now = _time(now_s)
    patches = []
    for type_ in _WATCHED:
        condition = found.get(type_)
        if condition is not None and condition.status == "Unknown":
            continue
        if condition is None and type_ != "Ready":
            continue
        is_new = condition is None
        patches.append(
            {
                "type": type_,
                "status": "Unknown",
                "reason": "NodeStatusNeverUpdated" if is_new else "NodeStatusUnknown",
                "message": f"Kubelet {'never posted' if is_new else 'stopped posting'} node status.",
                "lastTransitionTime": now,
            }
        )
    return patches


def desired_taints(node: Node, *, evict: bool, now_s: float) -> list[dict[str, Any]] | None:
    """The node's taints as they should be; None if they are. `evict`: whether NoExecute taints may be set."""
    assert node.spec is not None
    current = list(node.spec.taints or ())
    wanted = _taint_keys(node, evict=evict)
    kept = [taint for taint in current if taint.key not in _OURS or (taint.key, taint.effect) in wanted]
    have = {(taint.key, taint.effect) for taint in kept}
    added = [
        {"key": key, "effect": effect} | ({"timeAdded": _time(now_s)} if effect == "NoExecute" else {})
        for key, effect in wanted
        if (key, effect) not in have
    ]
    if not added and len(kept) == len(current):
        return None
    return [msgspec.to_builtins(taint) for taint in kept] + added


def eviction_in_s(pod: Pod, taints: Iterable[Taint], now_s: float) -> float | None:
    """Seconds until the pod must leave a node with these taints; 0: now; None: it may stay."""
    tolerations = (pod.spec.tolerations if pod.spec else None) or ()
    waits = []
    for taint in taints:
        if taint.effect != "NoExecute":
            continue
        matching = [one for one in tolerations if tolerates(one, taint)]
        if not matching:
            return 0.0
        limits = [one.tolerationSeconds for one in matching if one.tolerationSeconds is not None]
        if limits:
            since_s = taint.timeAdded.timestamp() if taint.timeAdded else now_s
            waits.append(max(0.0, since_s + max(0, min(limits)) - now_s))
    return min(waits, default=None)


def is_full_disruption(nodes: Sequence[Node]) -> bool:
    """Whether no node is ready: then it is rather we who are cut off, and evicting would only make it worse."""
    return bool(nodes) and all(ready_status(node) != "True" for node in nodes)


def _taint_keys(node: Node, *, evict: bool) -> list[tuple[str, str]]:
    wanted = []
    ready = ready_status(node)
    if ready != "True":
        key = NOT_READY if ready == "False" or _status(node, "Ready") is None else UNREACHABLE
        wanted.append((key, "NoSchedule"))
        if evict:
            wanted.append((key, "NoExecute"))
    wanted += [(key, "NoSchedule") for type_, key in _PRESSURES.items() if _status(node, type_) == "True"]
    if node.spec is not None and node.spec.unschedulable:
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    return wanted


def _status(node: Node, type_: str) -> str | None:
    conditions = (node.status.conditions if node.status else None) or ()
    return next((one.status for one in conditions if one.type == type_), None)


def _time(now_s: float) -> str:
    return datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
