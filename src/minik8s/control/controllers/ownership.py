"""Who controls what: controllers claim objects by selector, as upstream's controller reference manager.

Pure, but for `claim`'s patches, which the caller sends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minik8s.api.kind import Kind
from minik8s.api.meta_v1 import controller_of, key_of
from minik8s.api.selectors import from_label_selector, label_selector_matches


@dataclass(slots=True)
class Claim:
    """What a selector and the owner references say about some candidates."""

    owned: list[Any] = field(default_factory=list)
    adopt: list[Any] = field(default_factory=list)  # orphans that match
    release: list[Any] = field(default_factory=list)  # ours that match no longer


def claim(owner: Any, candidates: Iterable[Any]) -> Claim:
    """Sort `candidates`: those of other controllers are left out, as are orphans that are going away."""
    found = Claim()
    selector = from_label_selector(owner.spec.selector)
    is_owner_deleting = owner.metadata.deletionTimestamp is not None
    for candidate in candidates:
        controller = controller_of(candidate)
        matches = selector is not None and selector.matches(candidate.metadata.labels or {})
        if controller is None:
            if matches and not is_owner_deleting and candidate.metadata.deletionTimestamp is None:
                found.adopt.append(candidate)
        elif controller.uid == owner.metadata.uid:
            if matches or is_owner_deleting:
                found.owned.append(candidate)
            else:
                found.release.append(candidate)
    return found


def owner_reference(owner: Any, kind: Kind[Any]) -> dict[str, Any]:
    """The reference that makes `owner` the controller of what carries it."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def adoption(owner: Any, kind: Kind[Any], orphan: Any) -> Mapping[str, Any]:
    """The merge patch that makes `orphan` ours, unless it has changed."""
    others = [msgspec.to_builtins(reference) for reference in orphan.metadata.ownerReferences or ()]
    return _references(orphan, [*others, owner_reference(owner, kind)])


def release(owner: Any, child: Any) -> Mapping[str, Any]:
    """The merge patch that lets `child` go, unless it has changed."""
    references = child.metadata.ownerReferences or ()
    return _references(child, [msgspec.to_builtins(one) for one in references if one.uid != owner.metadata.uid])


def controller_key(obj: Any, kind: Kind[Any]) -> str | None:
    """The key of the controller of `obj` if that is of `kind`."""
    controller = controller_of(obj)
    if controller is None or controller.kind != kind.name:
        return None
    namespace = obj.metadata.namespace
    return f"{namespace}/{controller.name}" if namespace and kind.namespaced else controller.name


def matching_keys(obj: Any, owners: Iterable[Any]) -> Iterable[str]:
    """The keys of those `owners` in the namespace of the orphan `obj` that select it."""
    labels = obj.metadata.labels or {}
    for owner in owners:
        if owner.metadata.namespace == obj.metadata.namespace and label_selector_matches(owner.spec.selector, labels):
            yield key_of(owner)


def _references(obj: Any, references: list[Any]) -> Mapping[str, Any]:
    # resourceVersion: the list is replaced as a whole, so it must be the one that was read.
    meta = {"uid": obj.metadata.uid, "resourceVersion": obj.metadata.resourceVersion}
    return {"metadata": meta | {"ownerReferences": references or None}}
