"""ResourceClaimTemplate: what the ResourceClaims made for pods look like."""

from minik8s.api.errors import Cause
from minik8s.api.resource_v1 import ResourceClaimTemplate
from minik8s.control.apiserver.causes import immutable
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.deviceclaim import default_devices, validate_devices
from minik8s.control.apiserver.resources.objectmeta import subdomain_name, validate_metadata


def _default(template: Document) -> None:
    default_devices(template.setdefault("spec", {}).setdefault("spec", {}))


def _validate(template: Document) -> list[Cause]:
    spec = template["spec"]
    return validate_metadata(spec.get("metadata", {}), "spec.metadata") + validate_devices(spec["spec"], "spec.spec")


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("spec", new["spec"], old.get("spec"))


RESOURCECLAIMTEMPLATES = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    namespaced=True,
    model=ResourceClaimTemplate,
    storage_prefix="resourceclaimtemplates",
    columns=(NAME, AGE),
    row=lambda template, now_s: [template["metadata"]["name"], age(template, now_s)],
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
