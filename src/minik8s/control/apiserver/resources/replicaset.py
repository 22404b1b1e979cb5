"""ReplicaSet: keeps a number of pods of one template."""

from typing import Any

from minik8s.api.apps_v1 import ReplicaSet
from minik8s.api.errors import Cause
from minik8s.api.selectors import format_label_selector
from minik8s.control.apiserver.causes import immutable
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, template_cells
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podtemplate import default_template, validate_workload
from minik8s.control.apiserver.resources.status import keep_status


def _default(replicaset: Document) -> None:
    spec = replicaset.setdefault("spec", {})
    default_template(spec)
    spec.setdefault("replicas", 1)


def _prepare_create(replicaset: Document) -> None:
    replicaset["status"] = {"replicas": 0}


def _validate(replicaset: Document) -> list[Cause]:
    return validate_workload(replicaset["spec"])


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("spec.selector", new["spec"].get("selector"), old["spec"].get("selector"))


def _row(replicaset: Document, now_s: float) -> list[Any]:
    spec, status = replicaset.get("spec", {}), replicaset.get("status", {})
    return [
        replicaset["metadata"]["name"],
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(replicaset, now_s),
        *template_cells(spec.get("template", {})),
        format_label_selector(spec.get("selector")),
    ]


def _fields(replicaset: Document) -> dict[str, str]:
    return {"status.replicas": str(replicaset.get("status", {}).get("replicas", 0))}


REPLICASETS = Resource(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    namespaced=True,
    model=ReplicaSet,
    storage_prefix="replicasets",
    short_names=("rs",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(
        NAME,
        Column("Desired", "integer", description="How many pods there should be."),
        Column("Current", "integer", description="How many pods there are."),
        Column("Ready", "integer", description="How many of them are ready."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
    fields=_fields,
    field_names=("status.replicas",),
)
