"""ReplicationController: the ReplicaSet of old."""

from typing import Any

from minik8s.api.core_v1 import ReplicationController
from minik8s.api.errors import Cause
from minik8s.api.selectors import format_labels
from minik8s.control.apiserver.causes import invalid, not_negative, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, template_cells
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podtemplate import (
    default_template,
    validate_always_restarts,
    validate_template,
)
from minik8s.control.apiserver.resources.status import keep_status


def _default(controller: Document) -> None:
    spec = controller.setdefault("spec", {})
    default_template(spec)
    spec.setdefault("replicas", 1)
    if labels := spec["template"]["metadata"].get("labels"):
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not controller["metadata"].get("labels"):
            controller["metadata"]["labels"] = dict(labels)


def _prepare_create(controller: Document) -> None:
    controller["status"] = {"replicas": 0}


def _validate(controller: Document) -> list[Cause]:
    spec = controller["spec"]
    selector, template = spec.get("selector", {}), spec["template"]
    found = not_negative("spec.minReadySeconds", spec.get("minReadySeconds", 0))
    found += [] if selector else [required("spec.selector")]
    found += not_negative("spec.replicas", spec["replicas"])
    labels = template["metadata"].get("labels", {})
    if not selector.items() <= labels.items():
        why = "`selector` does not match template `labels`"
        found.append(invalid("spec.template.metadata.labels", labels, why))
    found += validate_template(template, "spec.template")
    return found + validate_always_restarts(template["spec"], "spec.template.spec", owner="ReplicationController")


def _row(controller: Document, now_s: float) -> list[Any]:
    spec, status = controller.get("spec", {}), controller.get("status", {})
    return [
        controller["metadata"]["name"],
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(controller, now_s),
        *template_cells(spec.get("template", {})),
        format_labels(spec.get("selector", {})),
    ]


def _fields(controller: Document) -> dict[str, str]:
    return {"status.replicas": str(controller.get("status", {}).get("replicas", 0))}


REPLICATIONCONTROLLERS = Resource(
    group="",
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    namespaced=True,
    model=ReplicationController,
    storage_prefix="controllers",
    short_names=("rc",),
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
    validate_name=subdomain_name,
    fields=_fields,
    field_names=("status.replicas",),
)
