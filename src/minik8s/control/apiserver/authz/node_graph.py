"""What a node has to do with: its pods, and what they refer to. Called by `node` and admission's NodeRestriction.

    node ◀ pod ◀ secret, configmap, serviceaccount, claim ◀ volume ◀ secret      node ◀ volumeattachment

As upstream's graph, asked from the node's end: an index of pods by node follows the watch cache, and a pod is looked
into only when its node asks for something. Mirror pods refer to nothing: a node makes them itself.
"""

from collections.abc import Iterator

import msgspec

from minik8s.control.apiserver.authz.follower import Follower
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.persistentvolume import PERSISTENTVOLUMES
from minik8s.control.apiserver.resources.persistentvolumeclaim import PERSISTENTVOLUMECLAIMS
from minik8s.control.apiserver.resources.pod import PODS
from minik8s.control.apiserver.resources.volumeattachment import VOLUMEATTACHMENTS
from minik8s.control.apiserver.watchcache import WatchCache
from minik8s.control.apiserver.watchers import Entry

MIRROR = "kubernetes.io/config.mirror"

_decode = msgspec.json.Decoder().decode
_Reference = tuple[str, str]  # (plural, name)

# Fields below a volume or an environment that name another object: what kind it is, and where its name is.
_FIELDS = {
    "secret": ("secrets", ("secretName", "name")),
    "secretRef": ("secrets", ("name",)),
    "secretKeyRef": ("secrets", ("name",)),
    "azureFile": ("secrets", ("secretName",)),
    "nodePublishSecretRef": ("secrets", ("name",)),
    "configMap": ("configmaps", ("name",)),
    "configMapRef": ("configmaps", ("name",)),
    "configMapKeyRef": ("configmaps", ("name",)),
    "persistentVolumeClaim": ("persistentvolumeclaims", ("claimName",)),
}
# Of a volume of the cluster; those for attaching and provisioning are no business of kubelets.
_VOLUME_SECRETS = ("secretRef", "nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef")


class NodeGraph:
    """The relations of nodes, as new as the watch cache."""

    def __init__(self, cache: WatchCache) -> None:
        self._cache = cache
        self._pods: dict[str, dict[tuple[str, str], Entry]] = {}  # node → (namespace, name) → pod
        self._references: dict[tuple[str, str], tuple[int, frozenset[_Reference]]] = {}  # of pods that were looked into
        self._follower = Follower(cache, [(PODS, self._set_pod)])

    def has(self, node: str, plural: str, namespace: str, name: str) -> bool:
        """Whether an object has to do with a node."""
        self._follower.catch_up()
        match plural:
            case "pods":
                return (namespace, name) in self._pods.get(node, {})
            case "secrets":
                return self._refers(node, plural, namespace, name) or self._unlocks(node, namespace, name)
            case "persistentvolumes":
                volume = self._find(PERSISTENTVOLUMES, name)
                claim = volume.get("spec", {}).get("claimRef") or {}
                return self._refers(node, "persistentvolumeclaims", claim.get("namespace", ""), claim.get("name", ""))
            case "volumeattachments":
                return bool(self._find(VOLUMEATTACHMENTS, name).get("spec", {}).get("nodeName") == node)
        return self._refers(node, plural, namespace, name)

    def _refers(self, node: str, plural: str, namespace: str, name: str) -> bool:
        """Whether a pod on the node names the object."""
        reference = (plural, name)
        return any(
            reference in self._references_of(key, pod)
            for key, pod in self._pods.get(node, {}).items()
            if key[0] == namespace
        )

    def _unlocks(self, node: str, namespace: str, name: str) -> bool:
        """Whether a volume that the node mounts needs the secret."""
        claims = {
            (key[0], claim)
            for key, pod in self._pods.get(node, {}).items()
            for plural, claim in self._references_of(key, pod)
            if plural == "persistentvolumeclaims"
        }
        for claim_namespace, claim in claims:
            found = self._find(PERSISTENTVOLUMECLAIMS, f"{claim_namespace}/{claim}")
            volume = self._find(PERSISTENTVOLUMES, found.get("spec", {}).get("volumeName", ""))
            spec = volume.get("spec", {})
            holder = spec.get("claimRef") or {}
            is_bound = (holder.get("namespace"), holder.get("name")) == (claim_namespace, claim)
            if is_bound and (namespace, name) in _secrets_of_volume(spec, claim_namespace):
                return True
        return False

    def _references_of(self, key: tuple[str, str], pod: Entry) -> frozenset[_Reference]:
        known = self._references.get(key)
        if known is None or known[0] != pod.revision:
            known = self._references[key] = pod.revision, frozenset(references(_decode(pod.body)))
        return known[1]

    def _find(self, resource: Resource, key: str) -> Document:
        entry = self._cache.kind(resource).entries.get(key)
        return _decode(entry.body) if entry else {}

    def _set_pod(self, after: Entry | None, before: Entry | None) -> None:
        if before is not None:
            key = (before.namespace, before.name)
            self._pods.get(before.fields["spec.nodeName"], {}).pop(key, None)
            if after is None:
                self._references.pop(key, None)
        if after is not None and (node := after.fields["spec.nodeName"]):
            self._pods.setdefault(node, {})[after.namespace, after.name] = after


def references(pod: Document) -> Iterator[_Reference]:
    """What a pod names in its namespace."""
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        return
    spec = pod.get("spec", {})
    if account := spec.get("serviceAccountName"):
        yield "serviceaccounts", account
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for volume in spec.get("volumes") or ():
        if "ephemeral" in volume:
            yield "persistentvolumeclaims", f"{pod['metadata']['name']}-{volume['name']}"
        yield from _named_below(volume)
    for containers in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(containers) or ():
            yield from _named_below(container.get("env"))
            yield from _named_below(container.get("envFrom"))


def _named_below(value: object) -> Iterator[_Reference]:
    if isinstance(value, list):
        for item in value:
            yield from _named_below(item)
    elif isinstance(value, dict):
        for field, below in value.items():
            if isinstance(below, dict) and field in _FIELDS:
                plural, names = _FIELDS[field]
                yield from ((plural, below[name]) for name in names if below.get(name))
            if isinstance(below, dict | list):
                yield from _named_below(below)


def _secrets_of_volume(spec: Document, claim_namespace: str) -> set[tuple[str, str]]:
    """(namespace, name) of the secrets that mounting a volume of the cluster needs."""
    found = set()
    for source in spec.values():
        if not isinstance(source, dict):
            continue
        if name := source.get("secretName"):  # azureFile
            found.add((source.get("secretNamespace") or claim_namespace, name))
        for field in _VOLUME_SECRETS:
            if reference := source.get(field):
                found.add((reference.get("namespace") or claim_namespace, reference.get("name", "")))
    return found
