"""RuntimeClass: a name for a way to run containers."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults
from minik8s.api.node_v1 import RuntimeClass
from minik8s.api.quantity import parse
from minik8s.control.apiserver.causes import each_invalid, immutable, invalid
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name, validate_labels
from minik8s.control.apiserver.resources.podspec import validate_tolerations


def _validate(runtimeclass: Document) -> list[Cause]:
    handler = runtimeclass.get("handler", "")
    found = each_invalid("handler", handler, dns_label_faults(handler))
    for name, amount in runtimeclass.get("overhead", {}).get("podFixed", {}).items():
        if parse(amount) < 0:
            found.append(invalid(f"overhead.podFixed[{name}]", amount, "must be greater than or equal to 0"))
    scheduling = runtimeclass.get("scheduling", {})
    found += validate_labels(scheduling.get("nodeSelector", {}), "scheduling.nodeSelector")
    return found + validate_tolerations(scheduling.get("tolerations", []), "scheduling.tolerations")


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("handler", new.get("handler", ""), old.get("handler", ""))


def _row(runtimeclass: Document, now_s: float) -> list[Any]:
    return [runtimeclass["metadata"]["name"], runtimeclass.get("handler", ""), age(runtimeclass, now_s)]


RUNTIMECLASSES = Resource(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    namespaced=False,
    model=RuntimeClass,
    storage_prefix="runtimeclasses",
    columns=(NAME, Column("Handler", description="What the container runtime calls it."), AGE),
    row=_row,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
