"""CSIStorageCapacity: how much room a storage class has in one part of the cluster."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.quantity import parse
from minik8s.api.storage_v1 import CSIStorageCapacity
from minik8s.control.apiserver.causes import immutable, invalid, required
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name


def _validate(capacity: Document) -> list[Cause]:
    found = []
    if not capacity.get("storageClassName"):
        found.append(required("storageClassName"))
    for field in ("capacity", "maximumVolumeSize"):
        if field in capacity and parse(capacity[field]) < 0:
            found.append(invalid(field, capacity[field], "must be greater than or equal to 0"))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return [
        *immutable("nodeTopology", new.get("nodeTopology"), old.get("nodeTopology")),
        *immutable("storageClassName", new.get("storageClassName"), old.get("storageClassName")),
    ]


def _row(capacity: Document, now_s: float) -> list[Any]:
    return [capacity["metadata"]["name"], capacity.get("storageClassName", ""), capacity.get("capacity", "<unset>")]


CSISTORAGECAPACITIES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    namespaced=True,
    model=CSIStorageCapacity,
    storage_prefix="csistoragecapacities",
    columns=(
        NAME,
        Column("StorageClassName", description="The class the room is of."),
        Column("Capacity", description="How much room there is."),
    ),
    row=_row,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
