"""ReplicaSets: as many pods as the spec says, no more and no fewer.

`plan` decides, the controller acts. Creating begins with one pod and doubles (upstream's slow start), so that a
template which cannot be created costs one refused call and not hundreds. A write whose outcome is unknown may still
arrive, after everything that is decided next. So it is repeated as it was: a create under the same name, a delete of
the same pod. Whichever of the two arrives, there is one pod more, or less, and not two.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minik8s.api.apps_v1 import REPLICASETS, ReplicaSet
from minik8s.api.core_v1 import PODS, Pod
from minik8s.api.errors import StatusError
from minik8s.api.meta_v1 import controller_of, key_of, split_key
from minik8s.client.controller import Writes
from minik8s.client.events import NORMAL, WARNING
from minik8s.control.controllers import pods as pod_rules
from minik8s.control.controllers.context import Context, Watch
from minik8s.control.controllers.ownership import (
    adoption,
    claim,
    controller_key,
    matching_keys,
    owner_reference,
    release,
)
from minik8s.kit.clock import timestamp
from minik8s.kit.ids import new_suffix

# As upstream: at most so many creates or deletes per look.
_BURST = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for one ReplicaSet."""

    adopt: Sequence[Pod] = ()
    release: Sequence[Pod] = ()
    create: int = 0
    delete: Sequence[Pod] = ()
    status: dict[str, Any] = field(default_factory=dict)  # without conditions
    again_s: float | None = None  # when the next pod becomes available


def plan(
    replicaset: ReplicaSet,
    pods: Iterable[Pod],
    *,
    related: Iterable[Pod],
    condemned: Collection[str] = (),
    now_s: float,
) -> Plan:
    """`pods` are those of the namespace that may be ours; `related` those of the same Deployment, for ranking.

    `condemned`: uids of pods whose deletion was asked for, with unknown outcome: they are the first to go.
    """
    assert replicaset.spec is not None and replicaset.metadata is not None
    claimed = claim(replicaset, pods)
    active = [pod for pod in claimed.owned if pod_rules.is_active(pod)]
    wanted = 1 if replicaset.spec.replicas is None else replicaset.spec.replicas
    min_ready_s = replicaset.spec.minReadySeconds or 0
    waits = [pod_rules.available_in_s(pod, min_ready_s, now_s) for pod in active]
    template = replicaset.spec.template.metadata if replicaset.spec.template else None
    labels = ((template.labels if template else None) or {}).items()
    status = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(labels <= (pod.metadata.labels or {}).items() for pod in active),
        "readyReplicas": sum(wait is not None for wait in waits),
        "availableReplicas": sum(wait == 0 for wait in waits),
        "observedGeneration": replicaset.metadata.generation or 0,
    }
    again_s = min((wait for wait in waits if wait), default=None)
    if replicaset.metadata.deletionTimestamp is not None or claimed.adopt:
        # Adopted pods count from the next look on.
        return Plan(claimed.adopt, claimed.release, status=status, again_s=again_s)
    surplus = len(active) - wanted
    delete: list[Pod] = []
    if surplus > 0:
        delete = pod_rules.victims(active, len(active), related=related, now_s=now_s)
        delete.sort(key=lambda pod: pod.metadata.uid not in condemned)  # stable: else as ranked
        del delete[min(surplus, _BURST) :]
    create = min(max(-surplus, 0), _BURST)
    return Plan((), claimed.release, create, delete, status, again_s)


class ReplicaSetController:
    """Keys are ReplicaSets."""

    name = "replicaset"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._replicasets = context.informer(REPLICASETS)
        self._pods = context.informer(PODS)
        self._pods.add_index("namespace", lambda pod: [pod.metadata.namespace])
        self._replicasets.add_index("controller", _controller_uids)
        # Of creations and deletions of unknown outcome: key → names, and key → uids.
        self._doubtful: dict[str, list[str]] = {}
        self._condemned: dict[str, set[str]] = {}

    def watches(self) -> Iterable[Watch]:
        return (Watch(REPLICASETS, lambda replicaset: [key_of(replicaset)]), Watch(PODS, self._keys_of_pod))

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        replicaset = self._replicasets.get(key)
        if replicaset is None:
            self._doubtful.pop(key, None)
            self._condemned.pop(key, None)
            return None
        assert replicaset.metadata is not None
        candidates = self._pods.by_index("namespace", replicaset.metadata.namespace or "")
        related = self._related(replicaset, candidates)
        condemned = self._condemned.pop(key, set()) & {pod.metadata.uid for pod in candidates}
        if condemned:
            self._condemned[key] = condemned
        decided = plan(replicaset, candidates, related=related, condemned=condemned, now_s=self._context.clock.now_s())
        await self._claim(replicaset, decided, writes)
        failure = await self._create(key, replicaset, decided.create, writes)
        failure = failure or await self._delete(key, replicaset, decided.delete, writes)
        # What is known to be true is told even if acting on it failed.
        await self._write_status(replicaset, decided.status, failure, writes)
        if failure:
            raise failure[1]
        return decided.again_s

    def _keys_of_pod(self, pod: Pod) -> Iterable[str]:
        key = controller_key(pod, REPLICASETS)
        if key:
            return [key]
        return matching_keys(pod, self._replicasets.items.values()) if controller_of(pod) is None else ()

    def _related(self, replicaset: ReplicaSet, candidates: Iterable[Pod]) -> list[Pod]:
        """Pods of all ReplicaSets of the same Deployment."""
        uids = {replicaset.metadata.uid} if replicaset.metadata else set()
        for uid in _controller_uids(replicaset):
            uids |= {sibling.metadata.uid for sibling in self._replicasets.by_index("controller", uid)}
        return [pod for pod in candidates if (owner := controller_of(pod)) and owner.uid in uids]

    async def _claim(self, replicaset: ReplicaSet, decided: Plan, writes: Writes) -> None:
        assert replicaset.metadata is not None
        namespace = replicaset.metadata.namespace or ""
        if decided.adopt:
            # The cache may not know yet that the owner is going away: adopting would delete the pods with it.
            live = await self._context.client.get(REPLICASETS, replicaset.metadata.name or "", namespace=namespace)
            if live.metadata.uid != replicaset.metadata.uid or live.metadata.deletionTimestamp is not None:
                return
        for pod in decided.adopt:
            await writes.patch(PODS, pod.metadata.name, adoption(replicaset, REPLICASETS, pod), namespace=namespace)
        for pod in decided.release:
            await writes.patch(PODS, pod.metadata.name, release(replicaset, pod), namespace=namespace)

    async def _create(
        self, key: str, replicaset: ReplicaSet, count: int, writes: Writes
    ) -> tuple[str, StatusError] | None:
        """Create pods in batches of 1, 2, 4, …; a batch with a refusal is the last of this look."""
        namespace, name = split_key(key)
        names = [one for one in self._doubtful.pop(key, []) if f"{namespace}/{one}" not in self._pods.items][:count]
        names += [f"{name[:58]}-{new_suffix(self._context.rng)}" for _ in range(count - len(names))]
        size = 1
        while names:
            batch, names, size = names[:size], names[size:], size * 2
            async with asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(self._create_one(replicaset, one, writes)) for one in batch]
            failures = {one: error for one, task in zip(batch, made, strict=True) if (error := task.result())}
            if failures:
                self._doubtful[key] = [one for one, error in failures.items() if error.code >= 500]
                return "FailedCreate", next(iter(failures.values()))
        return None

    async def _create_one(self, replicaset: ReplicaSet, name: str, writes: Writes) -> StatusError | None:
        try:
            await writes.create(PODS, pod_document(replicaset, name))
        except StatusError as error:
            self._tell(replicaset, WARNING, "FailedCreate", f"Error creating: {error.message}")
            return error
        self._tell(replicaset, NORMAL, "SuccessfulCreate", f"Created pod: {name}")
        return None

    async def _delete(
        self, key: str, replicaset: ReplicaSet, victims: Iterable[Pod], writes: Writes
    ) -> tuple[str, StatusError] | None:
        for pod in victims:
            meta = pod.metadata
            try:
                await writes.delete(PODS, meta.name, namespace=meta.namespace, uid=meta.uid)
            except StatusError as error:
                self._tell(replicaset, WARNING, "FailedDelete", f"Error deleting: {error.message}")
                if error.code >= 500:
                    self._condemned.setdefault(key, set()).add(meta.uid)
                return "FailedDelete", error
            self._tell(replicaset, NORMAL, "SuccessfulDelete", f"Deleted pod: {meta.name}")
        return None

    async def _write_status(
        self,
        replicaset: ReplicaSet,
        counts: dict[str, Any],
        failure: tuple[str, StatusError] | None,
        writes: Writes,
    ) -> None:
        conditions = self._conditions(replicaset, failure)
        status = counts | {"conditions": conditions or None}
        old = replicaset.status
        if old is not None and msgspec.convert(status, type(old)) == old:
            return
        meta = replicaset.metadata
        patch = {"metadata": {"uid": meta.uid}, "status": status}
        await writes.patch(REPLICASETS, meta.name, patch, namespace=meta.namespace, subresource="status")

    def _conditions(self, replicaset: ReplicaSet, failure: tuple[str, StatusError] | None) -> list[dict[str, Any]]:
        old = [msgspec.to_builtins(one) for one in (replicaset.status and replicaset.status.conditions) or ()]
        others = [one for one in old if one["type"] != "ReplicaFailure"]
        if failure is None:
            return others
        reason, error = failure
        before = next((one for one in old if one["type"] == "ReplicaFailure"), None)
        if before and before.get("reason") == reason:
            return old
        found = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": error.message}
        return [*others, found | {"lastTransitionTime": timestamp(self._context.clock)}]

    def _tell(self, replicaset: ReplicaSet, type_: str, reason: str, message: str) -> None:
        self._context.events.event(replicaset, type_, reason, message, component="replicaset-controller")


def pod_document(replicaset: ReplicaSet, name: str) -> dict[str, Any]:
    """The pod that the template makes."""
    assert replicaset.spec is not None and replicaset.metadata is not None
    template = msgspec.to_builtins(replicaset.spec.template)
    meta = template.get("metadata") or {}
    return {
        "metadata": {
            "name": name,
            "generateName": f"{replicaset.metadata.name}-",
            "namespace": replicaset.metadata.namespace,
            "labels": dict(meta.get("labels") or {}),
            "annotations": dict(meta.get("annotations") or {}),
            "finalizers": list(meta.get("finalizers") or ()),
            "ownerReferences": [owner_reference(replicaset, REPLICASETS)],
        },
        "spec": template.get("spec") or {},
    }


def _controller_uids(obj: Any) -> list[str]:
    controller = controller_of(obj)
    return [controller.uid] if controller else []
