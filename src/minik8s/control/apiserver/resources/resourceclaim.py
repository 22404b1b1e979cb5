"""ResourceClaim: devices asked for, by a pod or several. Nothing allocates them."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.resource_v1 import ResourceClaim
from minik8s.control.apiserver.causes import immutable
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.deviceclaim import default_devices, validate_devices
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status


def _default(claim: Document) -> None:
    default_devices(claim.setdefault("spec", {}))


def _prepare_create(claim: Document) -> None:
    claim["status"] = {}


def _validate(claim: Document) -> list[Cause]:
    return validate_devices(claim["spec"], "spec")


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("spec", new["spec"], old.get("spec"))


def _row(claim: Document, now_s: float) -> list[Any]:
    status = claim.get("status", {})
    words = ["deleted"] if claim["metadata"].get("deletionTimestamp") else []
    if "allocation" in status:
        words.append("allocated")
    if status.get("reservedFor"):
        words.append("reserved")
    if "allocation" not in status:
        words.append("pending")
    return [claim["metadata"]["name"], ",".join(words), age(claim, now_s)]


RESOURCECLAIMS = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaim",
    plural="resourceclaims",
    namespaced=True,
    model=ResourceClaim,
    storage_prefix="resourceclaims",
    subresources=("status",),
    columns=(NAME, Column("State", description="Whether it is allocated, and reserved."), AGE),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
