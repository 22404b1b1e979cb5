"""Subresources that show a part of an object and take changes to it: status, scale, approval, finalize; and binding.

Called by `pipeline` and `handler`. Pure: `read` makes what is shown of the object, `write` makes the object of what
was given.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from minik8s.api import errors
from minik8s.api.errors import Cause
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.ephemeralcontainers import (
    validate_ephemeral_update,
    write_ephemeral_containers,
)
from minik8s.control.apiserver.resources.podresize import validate_resize, write_resize
from minik8s.control.apiserver.resources.scale import SCALES, read_scale, write_scale
from minik8s.control.apiserver.tree import copied


def _same(document: Document) -> Document:
    return document


def _given(old: Document, given: Document) -> Document:
    return given


@dataclass(frozen=True, slots=True)
class View:
    """How a subresource (or the object itself) is read and written."""

    read: Callable[[Document], Document] = _same
    write: Callable[[Document, Document], Document] = _given  # (old object, what was given) → new object
    resource: Resource | None = None  # the kind that is shown, if it is another one
    # Of a subresource that may change what the main resource may not: judges instead of the resource's own hook.
    validate_update: Callable[[Document, Document], list[Cause]] | None = None  # (new, old)

    @property
    def is_whole(self) -> bool:
        """Whether what is shown is the object."""
        return self.read is _same


def _write_status(old: Document, given: Document) -> Document:
    """As upstream: status, annotations and finalizers change; everything else stays."""
    new = copied(old)
    _take(new, given, "status")
    for name in ("annotations", "finalizers"):
        _take(new["metadata"], given["metadata"], name)
    for name in ("uid", "resourceVersion"):  # What makes the write conditional.
        if name in given["metadata"]:
            new["metadata"][name] = given["metadata"][name]
    return new


def _write_approval(old: Document, given: Document) -> Document:
    """Of a certificate signing request: the conditions of its status change, everything else stays."""
    new = copied(old)
    _take(new.setdefault("status", {}), given.get("status", {}), "conditions")
    for name in ("uid", "resourceVersion"):
        if name in given["metadata"]:
            new["metadata"][name] = given["metadata"][name]
    return new


def _write_finalizers(old: Document, given: Document) -> Document:
    """Of a namespace: spec.finalizers change, everything else stays."""
    new = copied(old)
    new.setdefault("spec", {})["finalizers"] = given.get("spec", {}).get("finalizers") or []
    if given["metadata"].get("resourceVersion"):
        new["metadata"]["resourceVersion"] = given["metadata"]["resourceVersion"]
    return new


def _take(new: Document, given: Document, name: str) -> None:
    new.pop(name, None)
    if name in given:
        new[name] = given[name]


OBJECT = View()
EPHEMERAL_CONTAINERS = View(write=write_ephemeral_containers, validate_update=validate_ephemeral_update)
RESIZE = View(write=write_resize, validate_update=validate_resize)
SCALE = View(read_scale, write_scale, SCALES)
STATUS = View(write=_write_status)
APPROVAL = View(write=_write_approval)
FINALIZE = View(write=_write_finalizers)


class Target(msgspec.Struct):
    """The node of a Binding."""

    name: str = ""


class Binding(msgspec.Struct):
    """v1 Binding, as far as it matters."""

    target: Target = msgspec.field(default_factory=Target)


def bind(pod: Document, binding: Binding, now: str) -> Document:
    """The pod on the node that a Binding names. Raises StatusError Conflict if it is on one."""
    node = binding.target.name
    name = pod["metadata"]["name"]
    if not node:
        cause = Cause("FieldValueRequired", "Required value", "target.name")
        raise errors.invalid("Binding", "", name, [cause])
    if "deletionTimestamp" in pod["metadata"]:
        raise errors.conflict("pods/binding", "", name, f"pod {name} is being deleted, cannot be assigned to a host")
    if bound := pod.get("spec", {}).get("nodeName"):
        raise errors.conflict("pods/binding", "", name, f'pod {name} is already assigned to node "{bound}"')
    new = copied(pod)
    new["spec"]["nodeName"] = node
    status = new.setdefault("status", {})
    others = [each for each in status.get("conditions", ()) if each["type"] != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now}
    status["conditions"] = [*others, scheduled]
    return new
