"""StorageClass: how volumes of a kind are made."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import label_key_faults
from minik8s.api.storage_v1 import StorageClass
from minik8s.control.apiserver.causes import each_invalid, forbidden, immutable, invalid, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

DEFAULT_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
_PARAMETERS_MAX = 512


def _default(storageclass: Document) -> None:
    storageclass.setdefault("reclaimPolicy", "Delete")
    storageclass.setdefault("volumeBindingMode", "Immediate")


def _validate(storageclass: Document) -> list[Cause]:
    provisioner = storageclass.get("provisioner", "")
    found = []
    if not provisioner:
        found.append(required("provisioner", provisioner))
    else:
        found += each_invalid("provisioner", provisioner, label_key_faults(provisioner.lower()))
    parameters = storageclass.get("parameters", {})
    if len(parameters) > _PARAMETERS_MAX:
        found.append(Cause("FieldValueTooLong", "Too long: may not be more than 512 bytes", "parameters"))
    if "" in parameters:
        found.append(invalid("parameters", "", "field can not be empty."))
    found += one_of("reclaimPolicy", storageclass["reclaimPolicy"], ("Delete", "Retain"))
    return found + one_of("volumeBindingMode", storageclass["volumeBindingMode"], ("Immediate", "WaitForFirstConsumer"))


def _validate_update(new: Document, old: Document) -> list[Cause]:
    found = []
    for field in ("parameters", "provisioner", "reclaimPolicy"):
        if new.get(field) != old.get(field):
            found.append(forbidden(field, f"updates to {field} are forbidden."))
    return found + immutable("volumeBindingMode", new["volumeBindingMode"], old.get("volumeBindingMode"))


def _row(storageclass: Document, now_s: float) -> list[Any]:
    name = storageclass["metadata"]["name"]
    if storageclass["metadata"].get("annotations", {}).get(DEFAULT_ANNOTATION) == "true":
        name += " (default)"
    return [
        name,
        storageclass.get("provisioner", ""),
        storageclass.get("reclaimPolicy", "Delete"),
        storageclass.get("volumeBindingMode", "<unset>"),
        bool(storageclass.get("allowVolumeExpansion")),
        age(storageclass, now_s),
    ]


STORAGECLASSES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    namespaced=False,
    model=StorageClass,
    storage_prefix="storageclasses",
    short_names=("sc",),
    columns=(
        NAME,
        Column("Provisioner", description="Who makes the volumes."),
        Column("ReclaimPolicy", description="What becomes of them when their claims go."),
        Column("VolumeBindingMode", description="When they are bound."),
        Column("AllowVolumeExpansion", description="Whether they may grow."),
        AGE,
    ),
    row=_row,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
