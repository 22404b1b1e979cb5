"""DeviceClass: devices of a sort, as claims ask for them."""

from minik8s.api.errors import Cause
from minik8s.api.resource_v1 import DeviceClass
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.deviceclaim import validate_selectors
from minik8s.control.apiserver.resources.objectmeta import subdomain_name


def _default(deviceclass: Document) -> None:
    deviceclass.setdefault("spec", {})


def _validate(deviceclass: Document) -> list[Cause]:
    return validate_selectors(deviceclass["spec"].get("selectors", []), "spec.selectors")


DEVICECLASSES = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceClass",
    plural="deviceclasses",
    namespaced=False,
    model=DeviceClass,
    storage_prefix="deviceclasses",
    columns=(NAME, AGE),
    row=lambda deviceclass, now_s: [deviceclass["metadata"]["name"], age(deviceclass, now_s)],
    default=_default,
    validate=_validate,
    validate_name=subdomain_name,
)
