"""A Deployment's history: which ReplicaSet runs which template, and as which revision. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from minik8s.api.apps_v1 import Deployment, ReplicaSet

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
TEMPLATE_HASH = "pod-template-hash"

# What the Deployment says about itself and not about its template; as upstream's annotationsToSkip.
_OWN_ANNOTATIONS = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    }
)
# As in k8s.io/apimachinery util/rand: hashes are written without vowels.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(deployment: Deployment, collisions: int = 0) -> str:
    """Ten letters that stand for the pod template; the same on every run and machine."""
    assert deployment.spec is not None
    document = msgspec.json.encode(msgspec.to_builtins(deployment.spec.template), order="sorted")
    number = int.from_bytes(hashlib.sha256(document + b"%d" % collisions).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return "".join(letters)


def newest(deployment: Deployment, replicasets: Iterable[ReplicaSet]) -> ReplicaSet | None:
    """The ReplicaSet that runs the Deployment's template; the oldest if several do."""
    assert deployment.spec is not None
    wanted = _bare_template(deployment.spec.template)
    for replicaset in by_age(replicasets):
        assert replicaset.spec is not None
        if _bare_template(replicaset.spec.template) == wanted:
            return replicaset
    return None


def by_age(replicasets: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    """Oldest first."""
    return sorted(replicasets, key=lambda one: (str(one.metadata.creationTimestamp), one.metadata.name))


def revision_of(obj: Any) -> int:
    """The revision an object is annotated with; 0 if none."""
    text = (obj.metadata.annotations or {}).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def annotations_for(
    deployment: Deployment, replicaset: ReplicaSet | None, *, revision: int, desired: int, maximum: int
) -> dict[str, str]:
    """The annotations of the ReplicaSet that runs the current template."""
    assert deployment.metadata is not None
    found = dict((replicaset.metadata.annotations or {}) if replicaset and replicaset.metadata else {})
    inherited = (deployment.metadata.annotations or {}).items()
    found |= {key: value for key, value in inherited if key not in _OWN_ANNOTATIONS}
    before = revision_of(replicaset) if replicaset else 0
    if revision > before:
        # A rollback brings an old ReplicaSet back under a new number; kubectl shows the ones it had.
        if before:
            history = [*filter(None, found.get(REVISION_HISTORY, "").split(",")), str(before)]
            found[REVISION_HISTORY] = ",".join(history)
        found[REVISION] = str(revision)
    return found | scale_annotations(desired, maximum)


def scale_annotations(desired: int, maximum: int) -> dict[str, str]:
    """What the Deployment wanted when a ReplicaSet was last scaled: how a change of size is told from a rollout."""
    return {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(maximum)}


def desired_of(replicaset: ReplicaSet) -> int | None:
    """The Deployment's replicas when this ReplicaSet was last scaled."""
    return _number(replicaset, DESIRED_REPLICAS)


def maximum_of(replicaset: ReplicaSet) -> int | None:
    """The Deployment's replicas + maxSurge when this ReplicaSet was last scaled."""
    return _number(replicaset, MAX_REPLICAS)


def _number(replicaset: ReplicaSet, annotation: str) -> int | None:
    annotations: Mapping[str, str] = (replicaset.metadata.annotations if replicaset.metadata else None) or {}
    text = annotations.get(annotation, "")
    return int(text) if text.isdigit() else None


def _bare_template(template: Any) -> Any:
    """A template without the label that ReplicaSets add to it."""
    document = msgspec.to_builtins(template)
    meta = document.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != TEMPLATE_HASH}
    return document | {"metadata": {key: value for key, value in meta.items() if key != "labels"} | {"labels": labels}}
