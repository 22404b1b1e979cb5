"""Volumes and claims that are to go: let go when nobody uses them.

The apiserver gives each a finalizer as it is created (admission StorageObjectInUseProtection). A claim is in use while
a pod that names it is on a node and has not finished; a volume while it is bound. One that lost its finalizer gets it
back, unless it is going. As upstream's pvc-protection and pv-protection controllers.
"""

from collections.abc import Iterable
from typing import Any

from minik8s.api.core_v1 import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, Pod
from minik8s.api.kind import Kind
from minik8s.api.meta_v1 import key_of, split_key
from minik8s.client.controller import Writes
from minik8s.control.controllers import pods as pod_rules
from minik8s.control.controllers.context import Context, Watch

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"


def claims_of(pod: Pod) -> list[str]:
    """The names of the claims that a pod uses, or that are made for it."""
    assert pod.metadata is not None
    names = []
    for volume in (pod.spec.volumes if pod.spec else None) or ():
        if volume.persistentVolumeClaim is not None:
            names.append(volume.persistentVolumeClaim.claimName)
        elif volume.ephemeral is not None:
            names.append(f"{pod.metadata.name}-{volume.name}")
    return names


def uses(pod: Pod, claim: str) -> bool:
    """Whether a pod keeps a claim of its namespace. Before it is on a node it may not start any more."""
    is_placed = bool(pod.spec and pod.spec.nodeName)
    return is_placed and pod_rules.phase(pod) not in ("Succeeded", "Failed") and claim in claims_of(pod)


def change(obj: Any, finalizer: str, *, is_used: bool) -> list[str] | None:
    """The finalizers that an object should have; None if it has them."""
    finalizers = list(obj.metadata.finalizers or ())
    if obj.metadata.deletionTimestamp is None:
        return None if finalizer in finalizers else [*finalizers, finalizer]
    if finalizer not in finalizers or is_used:
        return None
    return [name for name in finalizers if name != finalizer]


class ClaimProtectionController:
    """Keys are PersistentVolumeClaims."""

    name = "pvcprotection"

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._claims = context.informer(PERSISTENTVOLUMECLAIMS)
        self._pods = context.informer(PODS)
        self._pods.add_index("claim", _claim_keys)

    def watches(self) -> Iterable[Watch]:
        return (Watch(PERSISTENTVOLUMECLAIMS, lambda claim: [key_of(claim)]), Watch(PODS, _claim_keys))

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        claim = self._claims.get(key)
        if claim is None:
            return None
        namespace, name = split_key(key)
        is_used = any(uses(pod, name) for pod in self._pods.by_index("claim", key))
        wanted = change(claim, CLAIM_FINALIZER, is_used=is_used)
        if wanted is None:
            return None
        if claim.metadata.deletionTimestamp is not None:
            # A cache may be late, and a claim that goes under a pod is lost: ask the server.
            live = (await self._client.list(PODS, namespace=namespace)).items
            if any(uses(pod, name) for pod in live):
                return None
        await _write(writes, PERSISTENTVOLUMECLAIMS, claim, wanted)
        return None


class VolumeProtectionController:
    """Keys are PersistentVolumes."""

    name = "pvprotection"

    def __init__(self, context: Context) -> None:
        self._volumes = context.informer(PERSISTENTVOLUMES)

    def watches(self) -> Iterable[Watch]:
        return (Watch(PERSISTENTVOLUMES, lambda volume: [key_of(volume)]),)

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        volume = self._volumes.get(key)
        if volume is None:
            return None
        is_used = volume.status is not None and volume.status.phase == "Bound"
        wanted = change(volume, VOLUME_FINALIZER, is_used=is_used)
        if wanted is not None:
            await _write(writes, PERSISTENTVOLUMES, volume, wanted)
        return None


def _claim_keys(pod: Pod) -> list[str]:
    assert pod.metadata is not None
    return [f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)]


async def _write(writes: Writes, kind: Kind[Any], obj: Any, finalizers: list[str]) -> None:
    meta = {"uid": obj.metadata.uid, "resourceVersion": obj.metadata.resourceVersion}
    patch = {"metadata": meta | {"finalizers": finalizers or None}}
    await writes.patch(kind, obj.metadata.name, patch, namespace=obj.metadata.namespace or "")
