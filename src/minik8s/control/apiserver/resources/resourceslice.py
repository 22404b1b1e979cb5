"""ResourceSlice: devices that a driver offers, on one node or several."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults
from minik8s.api.resource_v1 import ResourceSlice
from minik8s.control.apiserver.causes import duplicate, each_invalid, immutable, invalid, required, too_many
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.csidriver import driver_name_faults
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

_DEVICES_MAX = 128
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")


def _default(slice_: Document) -> None:
    slice_.setdefault("spec", {}).setdefault("pool", {})


def _validate(slice_: Document) -> list[Cause]:
    spec = slice_["spec"]
    driver, pool = spec.get("driver", ""), spec["pool"]
    found = driver_name_faults(driver, "spec.driver") if driver else [required("spec.driver")]
    if not pool.get("name"):
        found.append(required("spec.pool.name"))
    if pool.get("resourceSliceCount", 0) <= 0:
        why = "must be greater than zero"
        found.append(invalid("spec.pool.resourceSliceCount", pool.get("resourceSliceCount", 0), why))
    places = [field for field in _PLACES if spec.get(field)]
    if len(places) != 1:
        listed = "`nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection`"
        why = f"exactly one of {listed} is required"
        found.append(invalid("spec", places, why) if places else required("spec", why))
    devices = spec.get("devices", [])
    if len(devices) > _DEVICES_MAX:
        found.append(too_many("spec.devices", len(devices), _DEVICES_MAX))
    names = set()
    for index, device in enumerate(devices):
        path, name = f"spec.devices[{index}].name", device.get("name", "")
        found += each_invalid(path, name, dns_label_faults(name)) if name else [required(path)]
        if name in names:
            found.append(duplicate(path, name))
        names.add(name)
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    before = old.get("spec", {})
    return [
        *immutable("spec.driver", new["spec"].get("driver"), before.get("driver")),
        *immutable("spec.pool.name", new["spec"]["pool"].get("name"), before.get("pool", {}).get("name")),
        *immutable("spec.nodeName", new["spec"].get("nodeName"), before.get("nodeName")),
    ]


def _fields(slice_: Document) -> dict[str, str]:
    spec = slice_.get("spec", {})
    return {"spec.driver": spec.get("driver", ""), "spec.nodeName": spec.get("nodeName", "")}


def _row(slice_: Document, now_s: float) -> list[Any]:
    spec = slice_.get("spec", {})
    places = [spec.get("nodeName") or NONE, spec.get("driver", ""), spec.get("pool", {}).get("name", "")]
    return [slice_["metadata"]["name"], *places, age(slice_, now_s)]


RESOURCESLICES = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceSlice",
    plural="resourceslices",
    namespaced=False,
    model=ResourceSlice,
    storage_prefix="resourceslices",
    columns=(
        NAME,
        Column("Node", description="The node that has the devices."),
        Column("Driver", description="The driver that offers them."),
        Column("Pool", description="The pool they belong to."),
        AGE,
    ),
    row=_row,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
    fields=_fields,
    field_names=("spec.driver", "spec.nodeName"),
)
