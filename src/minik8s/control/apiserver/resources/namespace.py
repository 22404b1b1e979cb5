"""Namespace: the scope of names, emptied by a controller before it goes."""

from typing import Any

from minik8s.api.core_v1 import Namespace
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import label_name
from minik8s.control.apiserver.resources.status import keep_status

FINALIZER = "kubernetes"  # removed by the namespace controller, through the subresource, once nothing is left
NAME_LABEL = "kubernetes.io/metadata.name"


def _prepare_create(namespace: Document) -> None:
    namespace["status"] = {"phase": "Active"}
    finalizers = namespace.setdefault("spec", {}).setdefault("finalizers", [])
    if FINALIZER not in finalizers:
        finalizers.append(FINALIZER)


def _prepare_update(new: Document, old: Document) -> None:
    # As kube-apiserver: finalizers of the spec change through namespaces/finalize alone.
    new["spec"] = old.get("spec", {})
    keep_status(new, old)


def _default(namespace: Document) -> None:
    if name := namespace["metadata"].get("name"):
        namespace["metadata"].setdefault("labels", {})[NAME_LABEL] = name


def _row(namespace: Document, now_s: float) -> list[Any]:
    return [namespace["metadata"]["name"], namespace.get("status", {}).get("phase", ""), age(namespace, now_s)]


def _fields(namespace: Document) -> dict[str, str]:
    return {"status.phase": namespace.get("status", {}).get("phase", "")}


NAMESPACES = Resource(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    model=Namespace,
    storage_prefix="namespaces",
    short_names=("ns",),
    subresources=("finalize", "status"),
    columns=(NAME, Column("Status", description="Active, or Terminating while it is emptied."), AGE),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate_name=label_name,
    fields=_fields,
    field_names=("status.phase",),
)
