"""Deployments: one ReplicaSet per pod template, and the way from the old ones to the new one.

    Deployment ──plan──▶ Actions ──▶ create / scale / annotate / delete ReplicaSets, write status

`plan` looks at what is and says the next step only; each step changes a ReplicaSet, whose change brings the key back.
The ReplicaSet of a template is named DEPLOYMENT-HASH, so a create that is repeated (a lost answer, two leaders) finds
the one that exists. Undo needs nothing special: kubectl patches the old template in, and its ReplicaSet is found again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minik8s.api.apps_v1 import DEPLOYMENTS, REPLICASETS, Deployment, ReplicaSet
from minik8s.api.core_v1 import PODS, Pod
from minik8s.api.errors import StatusError
from minik8s.api.meta_v1 import controller_of, key_of
from minik8s.client.controller import Writes
from minik8s.client.events import NORMAL, WARNING
from minik8s.control.controllers import pods as pod_rules
from minik8s.control.controllers import revisions, rollout
from minik8s.control.controllers.context import Context, Watch
from minik8s.control.controllers.deployment_status import StatusPlan, status_of
from minik8s.control.controllers.ownership import (
    adoption,
    claim,
    controller_key,
    matching_keys,
    owner_reference,
    release,
)


@dataclass(slots=True)
class Actions:
    """The next step of one Deployment."""

    create: dict[str, Any] | None = None  # a ReplicaSet
    scale: dict[str, int] = field(default_factory=dict)  # ReplicaSet's name → size
    annotate: dict[str, dict[str, str]] = field(default_factory=dict)  # ReplicaSet's name → annotations
    revision: int = 0  # the Deployment's own annotation; 0: as it is
    delete: list[ReplicaSet] = field(default_factory=list)  # history beyond the limit
    status: StatusPlan | None = None


def plan(
    deployment: Deployment,
    replicasets: Sequence[ReplicaSet],
    *,
    old_pods_exist: bool,
    collisions: int = 0,
    now_s: float,
) -> Actions:
    """`replicasets` are the Deployment's own; `old_pods_exist`: some of those not of its template still have pods."""
    assert deployment.spec is not None and deployment.metadata is not None
    actions = Actions()
    bounds = rollout.bounds_of(deployment)
    recreate = rollout.is_recreate(deployment)
    new = revisions.newest(deployment, replicasets)
    old = [one for one in replicasets if one is not new]
    revision = max((revisions.revision_of(one) for one in old), default=0) + 1
    found = ""
    if deployment.metadata.deletionTimestamp is None:
        if deployment.spec.paused or rollout.is_resized(bounds, replicasets):
            sizes = rollout.resize(bounds, new, old, rolling=not recreate)
            by_name = {one.metadata.name: one for one in replicasets}
            actions.scale = {name: n for name, n in sizes.items() if not _is_scaled(by_name[name], bounds, n)}
        elif recreate and (old_sizes := {one.metadata.name: 0 for one in old if rollout.size(one) > 0}):
            actions.scale = old_sizes
        elif new is None:
            if not (recreate and old_pods_exist):
                actions.create = _replicaset(deployment, bounds, old, revision=revision, collisions=collisions)
                actions.revision = revision
        elif not (recreate and old_pods_exist):
            actions.scale = rollout.scale_up(bounds, new, old) or rollout.scale_down(bounds, new, old)
        if new is not None and not deployment.spec.paused:
            found = _annotate(actions, deployment, bounds, new, revision=revision)
    created = actions.create["metadata"]["name"] if actions.create else ""
    actions.status = status_of(
        deployment, bounds, new, old, collisions=collisions, created=created, found=found, now_s=now_s
    )
    if deployment.spec.paused or _is_complete(bounds, actions.status.status):
        actions.delete = _expired(deployment, old)
    return actions


class DeploymentController:
    """Keys are Deployments."""

    name = "deployment"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._deployments = context.informer(DEPLOYMENTS)
        self._replicasets = context.informer(REPLICASETS)
        self._pods = context.informer(PODS)
        self._replicasets.add_index("namespace", lambda one: [one.metadata.namespace])
        self._pods.add_index("replicaset", _controller_uids)

    def watches(self) -> Iterable[Watch]:
        return (
            Watch(DEPLOYMENTS, lambda deployment: [key_of(deployment)]),
            Watch(REPLICASETS, self._keys_of_replicaset),
            Watch(PODS, self._keys_of_pod),
        )

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        deployment = self._deployments.get(key)
        if deployment is None:
            return None
        assert deployment.metadata is not None
        claimed = claim(deployment, self._replicasets.by_index("namespace", deployment.metadata.namespace or ""))
        await self._claim(deployment, claimed.adopt, claimed.release, writes)
        new = revisions.newest(deployment, claimed.owned)
        old_pods = [pod for one in claimed.owned if one is not new for pod in self._pods_of(one)]
        actions = plan(
            deployment,
            claimed.owned,
            old_pods_exist=any(pod_rules.phase(pod) not in ("Succeeded", "Failed") for pod in old_pods),
            collisions=(deployment.status and deployment.status.collisionCount) or 0,
            now_s=self._context.clock.now_s(),
        )
        if claimed.adopt:
            return None  # what was adopted comes back as a change
        await self._act(deployment, claimed.owned, actions, writes)
        return actions.status.again_s if actions.status else None

    async def _act(
        self, deployment: Deployment, replicasets: Sequence[ReplicaSet], actions: Actions, writes: Writes
    ) -> None:
        assert deployment.metadata is not None
        namespace = deployment.metadata.namespace or ""
        by_name = {one.metadata.name: one for one in replicasets}
        if actions.create is not None:
            await self._create(deployment, actions.create, writes)
        bounds = rollout.bounds_of(deployment)
        for name in sorted({*actions.scale, *actions.annotate}, key=str):
            replicaset = by_name[name]
            annotations = actions.annotate.get(name, {})
            # For the very object that was looked at: a size that was given up, and has been decided otherwise since,
            # must not take hold when it arrives late.
            meta = {"uid": replicaset.metadata.uid, "resourceVersion": replicaset.metadata.resourceVersion}
            patch: dict[str, Any] = {"metadata": meta}
            wanted, current = actions.scale.get(name), rollout.size(replicaset)
            if wanted is not None:
                annotations = annotations | revisions.scale_annotations(bounds.replicas, bounds.maximum)
                patch["spec"] = {"replicas": wanted}
            patch["metadata"]["annotations"] = annotations
            await writes.patch(REPLICASETS, name, patch, namespace=namespace)
            if wanted is not None and wanted != current:
                self._tell_scaled(deployment, name, current, wanted)
        if actions.revision and actions.revision != revisions.revision_of(deployment):
            annotation = {"annotations": {revisions.REVISION: str(actions.revision)}}
            await writes.patch(
                DEPLOYMENTS,
                deployment.metadata.name or "",
                {"metadata": {"uid": deployment.metadata.uid} | annotation},
                namespace=namespace,
            )
        for replicaset in actions.delete:
            await writes.delete(REPLICASETS, replicaset.metadata.name, namespace=namespace, uid=replicaset.metadata.uid)
        if actions.status is not None:
            await self._write_status(deployment, actions.status.status, writes)

    async def _create(self, deployment: Deployment, document: dict[str, Any], writes: Writes) -> None:
        name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
        try:
            await writes.create(REPLICASETS, document)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                message = f'Failed to create new replica set "{name}": {error.message}'
                self._tell(deployment, WARNING, "ReplicaSetCreateError", message)
                raise
            live = await self._context.client.get(REPLICASETS, name, namespace=namespace)
            controller = controller_of(live)
            is_ours = controller is not None and controller.uid == deployment.metadata.uid
            if is_ours and revisions.newest(deployment, [live]) is not None:
                return  # made by ourselves; the cache will show it
            # As upstream: two templates with one hash, or somebody else's object. Take another name next time.
            collisions = ((deployment.status and deployment.status.collisionCount) or 0) + 1
            await self._write_status(deployment, {"collisionCount": collisions}, writes)
            raise
        self._tell_scaled(deployment, name, 0, document["spec"]["replicas"])

    async def _claim(
        self, deployment: Deployment, adopt: Iterable[ReplicaSet], let_go: Iterable[ReplicaSet], writes: Writes
    ) -> None:
        adopt = list(adopt)
        namespace, name = deployment.metadata.namespace or "", deployment.metadata.name or ""
        if adopt:
            live = await self._context.client.get(DEPLOYMENTS, name, namespace=namespace)
            if live.metadata.uid != deployment.metadata.uid or live.metadata.deletionTimestamp is not None:
                adopt = []
        for one in adopt:
            patch = adoption(deployment, DEPLOYMENTS, one)
            await writes.patch(REPLICASETS, one.metadata.name, patch, namespace=namespace)
        for one in let_go:
            await writes.patch(REPLICASETS, one.metadata.name, release(deployment, one), namespace=namespace)

    async def _write_status(self, deployment: Deployment, status: dict[str, Any], writes: Writes) -> None:
        before = msgspec.to_builtins(deployment.status) if deployment.status else {}
        if all((before.get(key) or None) == (value or None) for key, value in status.items()):
            return
        meta = deployment.metadata
        patch = {"metadata": {"uid": meta.uid}, "status": status}
        await writes.patch(DEPLOYMENTS, meta.name, patch, namespace=meta.namespace, subresource="status")

    def _pods_of(self, replicaset: ReplicaSet) -> list[Pod]:
        return self._pods.by_index("replicaset", replicaset.metadata.uid)

    def _keys_of_replicaset(self, replicaset: ReplicaSet) -> Iterable[str]:
        key = controller_key(replicaset, DEPLOYMENTS)
        if key:
            return [key]
        orphan = controller_of(replicaset) is None
        return matching_keys(replicaset, self._deployments.items.values()) if orphan else ()

    def _keys_of_pod(self, pod: Pod) -> Iterable[str]:
        """Only Recreate waits for pods themselves: those that went."""
        owner = controller_key(pod, REPLICASETS)
        if owner is None or (pod.metadata.deletionTimestamp is None and pod_rules.is_active(pod)):
            return ()
        replicaset = self._replicasets.get(owner)
        key = controller_key(replicaset, DEPLOYMENTS) if replicaset else None
        deployment = self._deployments.get(key) if key else None
        return [key] if key and deployment and rollout.is_recreate(deployment) else ()

    def _tell_scaled(self, deployment: Deployment, name: str, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        message = f"Scaled {way} replica set {name} from {before} to {after}"
        self._tell(deployment, NORMAL, "ScalingReplicaSet", message)

    def _tell(self, deployment: Deployment, type_: str, reason: str, message: str) -> None:
        self._context.events.event(deployment, type_, reason, message, component="deployment-controller")


def _replicaset(
    deployment: Deployment, bounds: rollout.Bounds, old: Sequence[ReplicaSet], *, revision: int, collisions: int
) -> dict[str, Any]:
    """The ReplicaSet of the current template, as large as there is room for."""
    assert deployment.spec is not None and deployment.metadata is not None
    name = f"{deployment.metadata.name}-{revisions.template_hash(deployment, collisions)}"
    letters = name.rpartition("-")[2]
    template = msgspec.to_builtins(deployment.spec.template)
    meta = template.setdefault("metadata", {})
    meta["labels"] = {**(meta.get("labels") or {}), revisions.TEMPLATE_HASH: letters}
    selector = msgspec.to_builtins(deployment.spec.selector)
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), revisions.TEMPLATE_HASH: letters}
    spec = {
        "replicas": min(rollout.room(bounds, old), bounds.replicas),
        "selector": selector,
        "template": template,
        "minReadySeconds": deployment.spec.minReadySeconds or 0,
    }
    annotations = revisions.annotations_for(
        deployment, None, revision=revision, desired=bounds.replicas, maximum=bounds.maximum
    )
    return {
        "metadata": {
            "name": name,
            "namespace": deployment.metadata.namespace,
            "labels": meta["labels"],
            "annotations": annotations,
            "ownerReferences": [owner_reference(deployment, DEPLOYMENTS)],
        },
        "spec": spec,
    }


def _annotate(
    actions: Actions, deployment: Deployment, bounds: rollout.Bounds, new: ReplicaSet, *, revision: int
) -> str:
    """Keep the annotations of `new` right; its name if a rollout to it begins now."""
    assert new.metadata is not None and new.metadata.name is not None
    revision = max(revision, revisions.revision_of(new))
    desired = revisions.desired_of(new)
    wanted = revisions.annotations_for(
        deployment,
        new,
        revision=revision,
        desired=bounds.replicas if desired is None else desired,
        maximum=revisions.maximum_of(new) or bounds.maximum,
    )
    if wanted != (new.metadata.annotations or {}):
        actions.annotate[new.metadata.name] = wanted
    actions.revision = revision
    progressing = next(
        (one for one in (deployment.status and deployment.status.conditions) or () if one.type == "Progressing"), None
    )
    # A rollout of another template than the one the condition speaks of begins the deadline anew.
    is_news = progressing is None or revision > revisions.revision_of(deployment)
    return new.metadata.name if is_news else ""


def _is_scaled(replicaset: ReplicaSet, bounds: rollout.Bounds, replicas: int) -> bool:
    """Whether it has that size, and its annotation knows the Deployment's."""
    return rollout.size(replicaset) == replicas and revisions.desired_of(replicaset) == bounds.replicas


def _is_complete(bounds: rollout.Bounds, status: dict[str, Any]) -> bool:
    return bool(bounds.replicas == status["updatedReplicas"] == status["replicas"] == status["availableReplicas"])


def _expired(deployment: Deployment, old: Sequence[ReplicaSet]) -> list[ReplicaSet]:
    """The oldest of the empty ReplicaSets beyond revisionHistoryLimit."""
    assert deployment.spec is not None
    limit = deployment.spec.revisionHistoryLimit
    if limit is None or limit == 2**31 - 1:
        return []
    empty = [
        one
        for one in old
        if rollout.size(one) == 0
        and not (one.status and one.status.replicas)
        and rollout.is_settled(one)
        and one.metadata.deletionTimestamp is None
    ]
    empty.sort(key=revisions.revision_of)
    return empty[: max(0, len(old) - limit)]


def _controller_uids(obj: Any) -> list[str]:
    controller = controller_of(obj)
    return [controller.uid] if controller else []
