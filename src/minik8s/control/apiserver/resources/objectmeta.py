"""The syntax of metadata: labels, annotations, owners, finalizers; and of the names of objects.

Labels and annotations of pod templates obey the same rules, hence the paths.
"""

from minik8s.api.errors import Cause
from minik8s.api.names import (
    dns_1035_label_faults,
    dns_label_faults,
    dns_subdomain_faults,
    label_key_faults,
    label_value_faults,
)
from minik8s.control.apiserver.causes import each_invalid, invalid, too_long
from minik8s.control.apiserver.resource import Document

ANNOTATIONS_BYTES_MAX = 256 * 1024
_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def subdomain_name(name: str) -> str | None:
    """What is wrong with the name of most objects."""
    return "; ".join(dns_subdomain_faults(name)) or None


def label_name(name: str) -> str | None:
    """What is wrong with the name of a namespace."""
    return "; ".join(dns_label_faults(name)) or None


def label_1035_name(name: str) -> str | None:
    """What is wrong with the name of a service."""
    return "; ".join(dns_1035_label_faults(name)) or None


def validate_metadata(metadata: Document, path: str = "metadata", *, is_builtin: bool = True) -> list[Cause]:
    """Causes for all that any object's metadata may hold, but its name. Of built-in kinds finalizers have domains."""
    return [
        *validate_labels(metadata.get("labels", {}), f"{path}.labels"),
        *validate_annotations(metadata.get("annotations", {}), f"{path}.annotations"),
        *_validate_owners(metadata.get("ownerReferences", []), f"{path}.ownerReferences"),
        *_validate_finalizers(metadata.get("finalizers", []), f"{path}.finalizers", is_builtin=is_builtin),
    ]


def validate_labels(labels: dict[str, str], path: str) -> list[Cause]:
    """Causes for labels, or a selector that is a map of labels."""
    found = []
    for key, value in labels.items():
        found += each_invalid(path, key, label_key_faults(key))
        found += each_invalid(path, value, label_value_faults(value))
    return found


def validate_annotations(annotations: dict[str, str], path: str) -> list[Cause]:
    """Causes for annotations: their values are free, but not endless."""
    found = []
    for key in annotations:
        found += each_invalid(path, key, label_key_faults(key.lower()))
    size_bytes = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size_bytes > ANNOTATIONS_BYTES_MAX:
        found.append(too_long(path, ANNOTATIONS_BYTES_MAX))
    return found


def _validate_owners(owners: list[Document], path: str) -> list[Cause]:
    found = []
    controllers = []
    for index, owner in enumerate(owners):
        for field, label in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")):
            if not owner.get(field):
                found.append(invalid(f"{path}[{index}].{field}", "", f"{label} must not be empty"))
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        why = f'Only one reference can have Controller set to true. Found "true" in references for {controllers[0]} and'
        found.append(invalid(path, owners, f"{why} {controllers[1]}"))
    return found


def _validate_finalizers(finalizers: list[str], path: str, *, is_builtin: bool) -> list[Cause]:
    found = []
    for finalizer in finalizers:
        faults = label_key_faults(finalizer)
        if is_builtin and not faults and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            faults = ["name is neither a standard finalizer name nor is it fully qualified"]
        found += each_invalid(path, finalizer, faults)
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        found.append(invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"))
    return found
