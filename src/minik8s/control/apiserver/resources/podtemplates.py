"""PodTemplate: a template as an object of its own."""

from typing import Any

from minik8s.api.core_v1 import PodTemplate
from minik8s.api.errors import Cause
from minik8s.api.selectors import format_labels
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import NAME, template_cells
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podtemplate import default_template, validate_template


def _validate(podtemplate: Document) -> list[Cause]:
    return validate_template(podtemplate["template"], "template")


def _row(podtemplate: Document, now_s: float) -> list[Any]:
    template = podtemplate.get("template", {})
    labels = template.get("metadata", {}).get("labels", {})
    return [podtemplate["metadata"]["name"], *template_cells(template), format_labels(labels)]


PODTEMPLATES = Resource(
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    namespaced=True,
    model=PodTemplate,
    storage_prefix="podtemplates",
    columns=(
        NAME,
        Column("Containers", description="Names of the containers."),
        Column("Images", description="Images of the containers."),
        Column("Pod Labels", description="Labels that pods made of it have."),
    ),
    row=_row,
    default=default_template,
    validate=_validate,
    validate_name=subdomain_name,
)
