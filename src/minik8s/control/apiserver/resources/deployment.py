"""Deployment: pods of one template, replaced step by step when the template changes."""

from typing import Any

from minik8s.api.apps_v1 import Deployment
from minik8s.api.selectors import format_label_selector
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, template_cells


def _row(deployment: Document, now_s: float) -> list[Any]:
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    return [
        deployment["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(deployment, now_s),
        *template_cells(spec.get("template", {})),
        format_label_selector(spec.get("selector")),
    ]


DEPLOYMENTS = Resource(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    namespaced=True,
    model=Deployment,
    storage_prefix="deployments",
    short_names=("deploy",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(
        NAME,
        Column("Ready", description="Ready pods of wanted ones."),
        Column("Up-to-date", description="Pods of the newest template."),
        Column("Available", description="Pods ready for long enough."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    row=_row,
)
