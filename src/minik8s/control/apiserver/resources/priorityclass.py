"""PriorityClass: a name for how important pods are."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.scheduling_v1 import PriorityClass
from minik8s.control.apiserver.causes import forbidden, immutable, one_of
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

# As kube-apiserver: two classes that every cluster has.
SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
VALUE_MAX = 1_000_000_000  # of a class that is not the system's
_SYSTEM_PREFIX = "system-"


def _default(priorityclass: Document) -> None:
    priorityclass.setdefault("value", 0)
    priorityclass.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _validate(priorityclass: Document) -> list[Cause]:
    name, value = priorityclass["metadata"].get("name", ""), priorityclass["value"]
    found = []
    if name.startswith(_SYSTEM_PREFIX):
        if SYSTEM_CLASSES.get(name) != value or priorityclass.get("globalDefault"):
            why = f"priority class names with '{_SYSTEM_PREFIX}' prefix are reserved for system use only. error: "
            found.append(forbidden("metadata.name", why + f"{name} is not a known system priority class"))
    elif value > VALUE_MAX:
        found.append(forbidden("value", f"maximum allowed value of a user defined priority is {VALUE_MAX}"))
    return found + one_of("preemptionPolicy", priorityclass["preemptionPolicy"], ("Never", "PreemptLowerPriority"))


def _validate_update(new: Document, old: Document) -> list[Cause]:
    found = [] if new["value"] == old.get("value", 0) else [forbidden("value", "may not be changed in an update.")]
    return found + immutable("preemptionPolicy", new["preemptionPolicy"], old.get("preemptionPolicy"))


def _row(priorityclass: Document, now_s: float) -> list[Any]:
    return [
        priorityclass["metadata"]["name"],
        priorityclass.get("value", 0),
        bool(priorityclass.get("globalDefault")),
        age(priorityclass, now_s),
        priorityclass.get("preemptionPolicy", ""),
    ]


PRIORITYCLASSES = Resource(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    namespaced=False,
    model=PriorityClass,
    storage_prefix="priorityclasses",
    short_names=("pc",),
    columns=(
        NAME,
        Column("Value", "integer", description="The higher, the more important."),
        Column("Global-Default", "boolean", description="Whether pods have it that name none."),
        AGE,
        Column("PreemptionPolicy", description="Whether its pods may take the place of others."),
    ),
    row=_row,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
