"""ControllerRevision: what a StatefulSet or DaemonSet was like once, to go back to."""

from typing import Any

from minik8s.api.apps_v1 import ControllerRevision
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import immutable, invalid, not_negative, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.objectmeta import subdomain_name


def _validate(revision: Document) -> list[Cause]:
    data = revision.get("data")
    found = [] if data else [required("data", "data is mandatory")]
    if data and not isinstance(data, dict):
        found.append(invalid("data", "", "error parsing data as JSON: it is no object"))
    return found + not_negative("revision", revision.get("revision", 0))


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("data", new.get("data"), old.get("data"))


def _controller(revision: Document) -> str:
    """`statefulset.apps/web`: who owns it."""
    for owner in revision["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            group = owner.get("apiVersion", "").rpartition("/")[0]
            kind = owner.get("kind", "").lower()
            return f"{kind}.{group}/{owner.get('name', '')}" if group else f"{kind}/{owner.get('name', '')}"
    return NONE


def _row(revision: Document, now_s: float) -> list[Any]:
    return [revision["metadata"]["name"], _controller(revision), revision.get("revision", 0), age(revision, now_s)]


CONTROLLERREVISIONS = Resource(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    namespaced=True,
    model=ControllerRevision,
    storage_prefix="controllerrevisions",
    columns=(
        NAME,
        Column("Controller", description="Whose revision it is."),
        Column("Revision", description="The number of the revision."),
        AGE,
    ),
    row=_row,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
