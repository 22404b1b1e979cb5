"""ResourceQuota: how much a namespace may have of everything together."""

from typing import Any

from minik8s.api.core_v1 import ResourceQuota
from minik8s.api.errors import Cause
from minik8s.api.names import label_key_faults
from minik8s.api.quantity import parse
from minik8s.control.apiserver.causes import each_invalid, immutable, invalid, one_of
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status

_SCOPES = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)


def _default(quota: Document) -> None:
    quota.setdefault("spec", {})


def _prepare_create(quota: Document) -> None:
    quota["status"] = {}


def _validate(quota: Document) -> list[Cause]:
    spec, status = quota["spec"], quota.get("status", {})
    found = []
    for path, amounts in (
        ("spec.hard", spec.get("hard", {})),
        ("status.hard", status.get("hard", {})),
        ("status.used", status.get("used", {})),
    ):
        for name, amount in amounts.items():
            found += each_invalid(f"{path}[{name}]", name, label_key_faults(name))
            if parse(amount) < 0:
                found.append(invalid(f"{path}[{name}]", amount, "must be greater than or equal to 0"))
    for scope in spec.get("scopes", ()):
        found += one_of("spec.scopes", scope, _SCOPES)
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    scopes = (sorted(each.get("spec", {}).get("scopes", [])) for each in (new, old))
    return immutable("spec.scopes", *scopes)


def _row(quota: Document, now_s: float) -> list[Any]:
    status = quota.get("status", {})
    hard, used = status.get("hard", {}), status.get("used", {})
    cells: dict[bool, list[str]] = {True: [], False: []}
    for name in sorted(hard):
        cells[name.startswith("limits")].append(f"{name}: {used.get(name, '0')}/{hard[name]}")
    return [quota["metadata"]["name"], ", ".join(cells[False]), ", ".join(cells[True]), age(quota, now_s)]


RESOURCEQUOTAS = Resource(
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    namespaced=True,
    model=ResourceQuota,
    storage_prefix="resourcequotas",
    short_names=("quota",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Request", description="What is requested, of what may be."),
        Column("Limit", description="The sum of limits, of what it may be."),
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
