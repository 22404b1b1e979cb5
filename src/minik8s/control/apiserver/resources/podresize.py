"""Resizing a pod in place: how much its containers ask for may change by a subresource of its own."""

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import forbidden, invalid
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.ephemeralcontainers import MIRROR
from minik8s.control.apiserver.resources.qos import qos_class
from minik8s.control.apiserver.tree import copied

_PARTS = ("containers", "initContainers")
_MUTABLE = ("cpu", "memory")


def write_resize(old: Document, given: Document) -> Document:
    """The pod with the resources and resize policies of what was given, and nothing else of it."""
    new = copied(old)
    for part in _PARTS:
        wanted = {each.get("name"): each for each in given.get("spec", {}).get(part, ())}
        for container in new.get("spec", {}).get(part, ()):
            source = wanted.get(container.get("name"), container)
            for field in ("resources", "resizePolicy"):
                if field in source:
                    container[field] = copied(source[field])
    for name in ("uid", "resourceVersion"):  # What makes the write conditional.
        if name in given["metadata"]:
            new["metadata"][name] = given["metadata"][name]
    return new


def validate_resize(new: Document, old: Document) -> list[Cause]:
    """Causes for a resize that would make the pod another one, as upstream's ValidatePodResize."""
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [forbidden("", "static pods cannot be resized")]
    if (old["spec"].get("os") or {}).get("name") == "windows":
        return [forbidden("", "windows pods cannot be resized")]
    found = []
    if (after := qos_class(new["spec"])) != old.get("status", {}).get("qosClass", qos_class(old["spec"])):
        found.append(invalid("spec", after, "Pod QOS Class may not change as a result of resizing"))
    for part in _PARTS:
        pairs = zip(new["spec"].get(part, ()), old["spec"].get(part, ()), strict=True)
        for index, (container, before) in enumerate(pairs):
            found += _validate_container(container, before, f"spec.{part}[{index}]", is_init=part == "initContainers")
    return found


def _validate_container(new: Document, old: Document, path: str, *, is_init: bool) -> list[Cause]:
    after, before = new.get("resources", {}), old.get("resources", {})
    if after == before:
        return []
    if is_init and old.get("restartPolicy") != "Always":
        return [forbidden(f"{path}.resources", "resources for non-sidecar init containers are immutable")]
    found = []
    for field in ("limits", "requests"):
        if any(name in before.get(field, {}) and name not in after.get(field, {}) for name in _MUTABLE):
            found.append(forbidden(f"{path}.resources.{field}", f"resource {field} cannot be removed"))
    if _fixed(after) != _fixed(before):
        found.append(forbidden("spec", "only cpu and memory resources are mutable"))
    return found


def _fixed(resources: Document) -> Document:
    """What no resize may change."""
    amounts = {
        field: {name: amount for name, amount in resources.get(field, {}).items() if name not in _MUTABLE}
        for field in ("limits", "requests")
    }
    return amounts | {"claims": resources.get("claims", [])}
