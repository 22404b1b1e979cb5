"""CSINode: the storage drivers that a node has."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.storage_v1 import CSINode
from minik8s.control.apiserver.causes import duplicate, invalid, not_negative, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.csidriver import driver_name_faults
from minik8s.control.apiserver.resources.objectmeta import subdomain_name


def _default(csinode: Document) -> None:
    csinode.setdefault("spec", {}).setdefault("drivers", [])


def _validate(csinode: Document) -> list[Cause]:
    found = []
    names = set()
    for index, driver in enumerate(csinode["spec"]["drivers"]):
        path, name = f"spec.drivers[{index}]", driver.get("name", "")
        found += [required(f"{path}.name")] if not name else driver_name_faults(name, f"{path}.name")
        if not driver.get("nodeID"):
            found.append(required(f"{path}.nodeID"))
        if name in names:
            found.append(duplicate(f"{path}.name", name))
        names.add(name)
        found += not_negative(f"{path}.allocatable.count", driver.get("allocatable", {}).get("count", 0))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    """A driver may come and go, and be given a count; what is there stays as it is."""
    before = {driver.get("name"): driver for driver in old.get("spec", {}).get("drivers", ())}
    found = []
    for index, driver in enumerate(new["spec"]["drivers"]):
        was = before.get(driver.get("name"))
        if was and "allocatable" in was and driver != was:
            found.append(invalid(f"spec.drivers[{index}]", driver, "field is immutable"))
    return found


def _row(csinode: Document, now_s: float) -> list[Any]:
    drivers = csinode.get("spec", {}).get("drivers", ())
    return [csinode["metadata"]["name"], len(drivers), age(csinode, now_s)]


CSINODES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    model=CSINode,
    storage_prefix="csinodes",
    columns=(NAME, Column("Drivers", "integer", description="How many drivers there are."), AGE),
    row=_row,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
