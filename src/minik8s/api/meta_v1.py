"""metav1: object metadata, and the few functions every reader of objects needs."""

from typing import Any

from lightkube.models.meta_v1 import (
    Condition,
    DeleteOptions,
    LabelSelector,
    LabelSelectorRequirement,
    ListMeta,
    ObjectMeta,
    OwnerReference,
)

__all__ = [
    "Condition",
    "DeleteOptions",
    "LabelSelector",
    "LabelSelectorRequirement",
    "ListMeta",
    "ObjectMeta",
    "OwnerReference",
    "controller_of",
    "key_of",
    "split_key",
]


def key_of(obj: Any) -> str:
    """`namespace/name`, or `name` of a cluster-scoped object: the key of caches and work queues."""
    meta = obj.metadata
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name) of a key; the namespace of a cluster-scoped one is empty."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def controller_of(obj: Any) -> OwnerReference | None:
    """The owner reference that has controller=true, of which there is at most one."""
    for owner in obj.metadata.ownerReferences or ():
        if owner.controller:
            return owner
    return None
