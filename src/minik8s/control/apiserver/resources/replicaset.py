"""ReplicaSet: keeps a number of pods of one template."""

from typing import Any

from minik8s.api.apps_v1 import ReplicaSet
from minik8s.api.selectors import format_label_selector
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, template_cells


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
    fields=_fields,
    field_names=("status.replicas",),
)
