"""Disruption budgets: how many pods of a set may be taken down now, for evictions to count on.

`measure` decides; the apiserver takes from `disruptionsAllowed` what it lets go (pods/eviction) and writes down whom in
`disruptedPods`, so that a pod that is about to go is not counted as healthy meanwhile. Every write here names the
resourceVersion it was computed from, so no allowance is given twice. As upstream's disruption controller.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from minik8s.api.apps_v1 import REPLICASETS, STATEFULSETS
from minik8s.api.core_v1 import PODS, REPLICATIONCONTROLLERS, Pod
from minik8s.api.meta_v1 import OwnerReference, controller_of, key_of, split_key
from minik8s.api.policy_v1 import PODDISRUPTIONBUDGETS, PodDisruptionBudget
from minik8s.api.selectors import label_selector_matches
from minik8s.client.controller import Writes
from minik8s.control.controllers import pods as pod_rules
from minik8s.control.controllers.context import Context, Watch
from minik8s.kit.clock import timestamp

# As upstream: how long a pod that was evicted may still be there before it is counted again.
DELETION_TIMEOUT_S = 120.0
_SCALED = (REPLICASETS, STATEFULSETS, REPLICATIONCONTROLLERS)

Scale = Callable[[OwnerReference, str], tuple[str, int] | None]
"""Whose controller a reference names, in a namespace: (uid, replicas); None if it is not known."""


class NoScale(Exception):
    """A budget in shares covers a pod whose set has no known size."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a budget comes to."""

    expected: int
    desired: int
    healthy: int
    disrupted: dict[str, str]
    again_s: float | None  # when an eviction that did not happen is forgotten

    @property
    def allowed(self) -> int:
        """How many pods may be taken down. None where none are expected: the first of them are not counted yet."""
        return max(self.healthy - self.desired, 0) if self.expected > 0 else 0


def measure(budget: PodDisruptionBudget, pods: Sequence[Pod], scale: Scale, *, now_s: float) -> Measure:
    """`pods` are those the budget selects. Raises NoScale."""
    spec, status = budget.spec, budget.status
    expected, desired = len(pods), 0
    if spec and spec.maxUnavailable is not None:
        expected = _expected(pods, scale)
        desired = max(expected - _share(spec.maxUnavailable, expected), 0)
    elif spec and spec.minAvailable is not None:
        if isinstance(spec.minAvailable, str):
            expected = _expected(pods, scale)
        desired = _share(spec.minAvailable, expected)
    there = {pod.metadata.name: pod for pod in pods if not pod_rules.is_terminating(pod)}
    known = (status.disruptedPods if status else None) or {}
    left_s = {name: _seconds(at) + DELETION_TIMEOUT_S - now_s for name, at in known.items() if name in there}
    disrupted = {name: known[name] for name, left in left_s.items() if left >= 0}
    healthy = sum(pod_rules.is_ready(pod) for name, pod in there.items() if name not in disrupted)
    return Measure(expected, desired, healthy, disrupted, min((left_s[name] for name in disrupted), default=None))


class DisruptionController:
    """Keys are PodDisruptionBudgets."""

    name = "disruption"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._budgets = context.informer(PODDISRUPTIONBUDGETS)
        self._budgets.add_index("namespace", _namespaces)
        self._pods = context.informer(PODS)
        self._pods.add_index("namespace", _namespaces)
        self._scaled = {(kind.group, kind.name): context.informer(kind) for kind in _SCALED}

    def watches(self) -> Iterable[Watch]:
        return (
            Watch(PODDISRUPTIONBUDGETS, lambda budget: [key_of(budget)]),
            Watch(PODS, self._keys_of_pod),
            *(Watch(kind, self._keys_in_namespace) for kind in _SCALED),
        )

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        budget = self._budgets.get(key)
        if budget is None or budget.metadata is None:
            return None
        now_s = self._context.clock.now_s()
        selector = budget.spec.selector if budget.spec else None
        candidates = self._pods.by_index("namespace", budget.metadata.namespace or "")
        pods = [pod for pod in candidates if label_selector_matches(selector, pod.metadata.labels)]
        before: dict[str, Any] = msgspec.to_builtins(budget.status) if budget.status else {}
        again_s = None
        try:
            found = measure(budget, pods, self._scale, now_s=now_s)
        except NoScale as error:
            # Fail safe: whoever asks is told no.
            after = before | {"disruptionsAllowed": 0, "observedGeneration": budget.metadata.generation or 0}
            verdict = ("False", "SyncFailed", str(error))
        else:
            again_s = found.again_s
            after = {
                "currentHealthy": found.healthy,
                "desiredHealthy": found.desired,
                "expectedPods": found.expected,
                "disruptionsAllowed": found.allowed,
                "observedGeneration": budget.metadata.generation or 0,
            }
            if found.disrupted:
                after["disruptedPods"] = found.disrupted
            verdict = ("True", "SufficientPods", "") if found.allowed else ("False", "InsufficientPods", "")
        after["conditions"] = self._conditions(before.get("conditions") or [], verdict, budget)
        if after != {field: value for field, value in before.items() if value is not None}:
            await self._write(key, budget, before, after, writes)
        return again_s

    async def _write(
        self, key: str, budget: PodDisruptionBudget, before: dict[str, Any], after: dict[str, Any], writes: Writes
    ) -> None:
        assert budget.metadata is not None
        namespace, name = split_key(key)
        gone = dict.fromkeys((before.get("disruptedPods") or {}).keys() - after.get("disruptedPods", {}).keys())
        status = after | ({"disruptedPods": gone | after.get("disruptedPods", {})} if gone else {})
        meta = {"uid": budget.metadata.uid, "resourceVersion": budget.metadata.resourceVersion}
        patch = {"metadata": meta, "status": status}
        await writes.patch(PODDISRUPTIONBUDGETS, name, patch, namespace=namespace, subresource="status")

    def _conditions(
        self, before: list[dict[str, Any]], verdict: tuple[str, str, str], budget: PodDisruptionBudget
    ) -> list[dict[str, Any]]:
        assert budget.metadata is not None
        type_, (status, reason, message) = "DisruptionAllowed", verdict
        old = next((one for one in before if one["type"] == type_), {})
        since = old.get("lastTransitionTime") if old.get("status") == status else None
        condition = {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": budget.metadata.generation or 0,
            "lastTransitionTime": since or timestamp(self._context.clock),
        }
        return [*(one for one in before if one["type"] != type_), condition]

    def _keys_of_pod(self, pod: Pod) -> Iterable[str]:
        assert pod.metadata is not None
        for budget in self._budgets.by_index("namespace", pod.metadata.namespace or ""):
            if label_selector_matches(budget.spec.selector if budget.spec else None, pod.metadata.labels):
                yield key_of(budget)

    def _keys_in_namespace(self, obj: Any) -> Iterable[str]:
        return [key_of(budget) for budget in self._budgets.by_index("namespace", obj.metadata.namespace or "")]

    def _scale(self, owner: OwnerReference, namespace: str) -> tuple[str, int] | None:
        """As upstream: the size of a ReplicaSet (its Deployment keeps it right), a StatefulSet or such."""
        group = owner.apiVersion.rpartition("/")[0]
        informer = self._scaled.get((group, owner.kind))
        found = informer.get(f"{namespace}/{owner.name}") if informer else None
        if found is None or found.metadata.uid != owner.uid:
            return None
        return owner.uid, 1 if found.spec.replicas is None else found.spec.replicas


def _expected(pods: Iterable[Pod], scale: Scale) -> int:
    """The size of all sets that the pods belong to; pods of nobody do not count."""
    sizes: dict[str, int] = {}
    for pod in pods:
        assert pod.metadata is not None
        owner = controller_of(pod)
        if owner is None or owner.uid in sizes:
            continue
        found = scale(owner, pod.metadata.namespace or "")
        if found is None:
            raise NoScale(f'found no controllers for pod "{pod.metadata.name}"')
        sizes[found[0]] = found[1]
    return sum(sizes.values())


def _share(amount: int | str, whole: int) -> int:
    return math.ceil(int(amount.removesuffix("%")) * whole / 100) if isinstance(amount, str) else amount


def _seconds(at: Any) -> float:
    return (at if isinstance(at, datetime) else datetime.fromisoformat(at)).timestamp()


def _namespaces(obj: Any) -> Iterable[str]:
    return [obj.metadata.namespace or ""]
