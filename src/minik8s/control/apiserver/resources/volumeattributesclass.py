"""VolumeAttributesClass: qualities of volumes that can be changed while they are used."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.storage_v1 import VolumeAttributesClass
from minik8s.control.apiserver.causes import forbidden, invalid, required, too_long
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.csidriver import driver_name_faults
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

_PARAMETERS_MAX = 512
_PARAMETERS_BYTES_MAX = 256 * 1024


def _validate(attributes: Document) -> list[Cause]:
    driver, parameters = attributes.get("driverName", ""), attributes.get("parameters", {})
    found = driver_name_faults(driver, "driverName") if driver else [required("driverName", "")]
    if not parameters:
        found.append(required("parameters", "must contain at least one key/value pair"))
    if len(parameters) > _PARAMETERS_MAX:
        found.append(too_long("parameters", _PARAMETERS_MAX))
    if any(not name for name in parameters):
        found.append(invalid("parameters", "", "field can not be empty."))
    if sum(len(name) + len(value) for name, value in parameters.items()) > _PARAMETERS_BYTES_MAX:
        found.append(too_long("parameters", _PARAMETERS_BYTES_MAX))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return [
        forbidden(field, f"updates to {field} are forbidden.")
        for field in ("driverName", "parameters")
        if new.get(field) != old.get(field)
    ]


def _row(attributes: Document, now_s: float) -> list[Any]:
    return [attributes["metadata"]["name"], attributes.get("driverName", ""), age(attributes, now_s)]


VOLUMEATTRIBUTESCLASSES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    namespaced=False,
    model=VolumeAttributesClass,
    storage_prefix="volumeattributesclasses",
    short_names=("vac",),
    columns=(NAME, Column("DriverName", description="The driver that knows the parameters."), AGE),
    row=_row,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
