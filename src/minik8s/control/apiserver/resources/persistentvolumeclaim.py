"""PersistentVolumeClaim: what a pod wants of storage, and the volume it was given."""

from typing import Any

from minik8s.api.core_v1 import PersistentVolumeClaim
from minik8s.api.errors import Cause
from minik8s.api.names import dns_subdomain_faults
from minik8s.api.quantity import parse
from minik8s.control.apiserver.causes import each_invalid, forbidden, invalid, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.persistentvolume import (
    UNSET,
    VOLUME_MODES,
    access_modes_cell,
    validate_access_modes,
)
from minik8s.control.apiserver.resources.podtemplate import validate_label_selector
from minik8s.control.apiserver.resources.status import keep_status


def default_claim_spec(spec: Document) -> None:
    """As kube-apiserver, for claims and their templates."""
    spec.setdefault("resources", {})
    spec.setdefault("volumeMode", "Filesystem")


def _default(claim: Document) -> None:
    default_claim_spec(claim.setdefault("spec", {}))
    claim.setdefault("status", {}).setdefault("phase", "Pending")


def _prepare_create(claim: Document) -> None:
    claim["status"] = {"phase": "Pending"}


def _validate(claim: Document) -> list[Cause]:
    return validate_claim_spec(claim["spec"], "spec")


def validate_claim_spec(spec: Document, path: str) -> list[Cause]:
    """Causes for the spec of a claim after defaulting."""
    found = validate_access_modes(spec.get("accessModes", []), f"{path}.accessModes")
    if "selector" in spec:
        found += validate_label_selector(spec["selector"], f"{path}.selector")
    amount = spec["resources"].get("requests", {}).get("storage")
    if amount is None:
        found.append(required(f"{path}.resources[storage]"))
    elif parse(amount) <= 0:
        found.append(invalid(f"{path}.resources[storage]", amount, "must be greater than zero"))
    if name := spec.get("storageClassName"):
        found += each_invalid(f"{path}.storageClassName", name, dns_subdomain_faults(name))
    return found + one_of(f"{path}.volumeMode", spec["volumeMode"], VOLUME_MODES)


def _validate_update(new: Document, old: Document) -> list[Cause]:
    before, after = dict(old.get("spec", {})), dict(new["spec"])
    # Who binds may say to what; a class may be filled in; a request may grow.
    for field in ("volumeName", "storageClassName", "volumeAttributesClassName"):
        if not before.get(field) or field == "volumeAttributesClassName":
            before.pop(field, None)
            after.pop(field, None)
    requests = [each.get("resources", {}).get("requests", {}).get("storage") for each in (after, before)]
    for spec in (before, after):
        spec["resources"] = {key: value for key, value in spec.get("resources", {}).items() if key != "requests"}
    found = []
    if before != after:
        why = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        found.append(forbidden("spec", why))
    if requests[0] and requests[1] and parse(requests[0]) < parse(requests[1]):
        why = "field can not be less than status.capacity"
        found.append(forbidden("spec.resources.requests.storage", why))
    elif requests[0] != requests[1] and old.get("status", {}).get("phase") != "Bound":
        found.append(forbidden("spec", "spec is immutable after creation except resources.requests for bound claims"))
    return found


def _row(claim: Document, now_s: float) -> list[Any]:
    spec, status = claim.get("spec", {}), claim.get("status", {})
    is_going = "deletionTimestamp" in claim["metadata"]
    volume = spec.get("volumeName", "")
    return [
        claim["metadata"]["name"],
        "Terminating" if is_going else status.get("phase", ""),
        volume,
        status.get("capacity", {}).get("storage", "0") if volume else "",
        access_modes_cell(status.get("accessModes", [])) if volume else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", UNSET),
        age(claim, now_s),
        spec.get("volumeMode", UNSET),
    ]


PERSISTENTVOLUMECLAIMS = Resource(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    namespaced=True,
    model=PersistentVolumeClaim,
    storage_prefix="persistentvolumeclaims",
    short_names=("pvc",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Status", description="Whether it has a volume."),
        Column("Volume", description="The volume it has."),
        Column("Capacity", description="How much fits."),
        Column("Access Modes", description="How the volume may be mounted."),
        Column("StorageClass", description="The class of volumes it wants."),
        Column("VolumeAttributesClass", description="The class of attributes it wants."),
        AGE,
        Column("VolumeMode", priority=1, description="A file system, or a block device."),
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
