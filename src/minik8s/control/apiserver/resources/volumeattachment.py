"""VolumeAttachment: the wish that a volume be attached to a node."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.storage_v1 import VolumeAttachment
from minik8s.control.apiserver.causes import immutable, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status


def _default(attachment: Document) -> None:
    attachment.setdefault("spec", {}).setdefault("source", {})


def _prepare_create(attachment: Document) -> None:
    attachment["status"] = {"attached": False}


def _validate(attachment: Document) -> list[Cause]:
    spec = attachment["spec"]
    source = spec["source"]
    found = [required(f"spec.{field}") for field in ("attacher", "nodeName") if not spec.get(field)]
    if "inlineVolumeSpec" not in source and "persistentVolumeName" not in source:
        found.append(required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif source.get("persistentVolumeName") == "":
        found.append(required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName"))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("spec", new["spec"], old.get("spec"))


def _row(attachment: Document, now_s: float) -> list[Any]:
    spec = attachment.get("spec", {})
    return [
        attachment["metadata"]["name"],
        spec.get("attacher", ""),
        spec.get("source", {}).get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        bool(attachment.get("status", {}).get("attached")),
        age(attachment, now_s),
    ]


VOLUMEATTACHMENTS = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    model=VolumeAttachment,
    storage_prefix="volumeattachments",
    subresources=("status",),
    columns=(
        NAME,
        Column("Attacher", description="The driver that is to attach it."),
        Column("PV", description="The volume."),
        Column("Node", description="The node it is attached to."),
        Column("Attached", "boolean", description="Whether it is."),
        AGE,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
