"""PriorityLevelConfiguration: how many requests of one level may run. Stored; the server has one limit for all."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.flowcontrol_v1 import PriorityLevelConfiguration
from minik8s.control.apiserver.causes import forbidden, invalid, not_negative, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status

_QUEUES_MAX = 10_000_000


def _default(level: Document) -> None:
    spec = level.setdefault("spec", {})
    if spec.get("type") == "Limited" and "limited" in spec:
        limited = spec["limited"]
        limited.setdefault("nominalConcurrencyShares", 30)
        limited.setdefault("lendablePercent", 0)
        if limited.get("limitResponse", {}).get("type") == "Queue":
            queuing = limited["limitResponse"].setdefault("queuing", {})
            for field, value in (("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)):
                queuing[field] = queuing.get(field) or value
    elif spec.get("type") == "Exempt":
        exempt = spec.setdefault("exempt", {})
        exempt.setdefault("nominalConcurrencyShares", 0)
        exempt.setdefault("lendablePercent", 0)


def _prepare_create(level: Document) -> None:
    level["status"] = {}


def _validate(level: Document) -> list[Cause]:
    spec = level["spec"]
    found = one_of("spec.type", spec.get("type", ""), ("Exempt", "Limited"))
    if spec.get("type") == "Limited":
        if "exempt" in spec:
            found.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
        if "limited" not in spec:
            return [*found, required("spec.limited", "must not be empty when type is Limited")]
        return found + _limited(spec["limited"])
    if spec.get("type") == "Exempt" and "limited" in spec:
        found.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
    return found


def _limited(limited: Document) -> list[Cause]:
    path = "spec.limited"
    found = not_negative(f"{path}.nominalConcurrencyShares", limited.get("nominalConcurrencyShares", 0))
    if not 0 <= limited.get("lendablePercent", 0) <= 100:
        found.append(
            invalid(f"{path}.lendablePercent", limited["lendablePercent"], "must be between 0 and 100, inclusive")
        )
    found += not_negative(f"{path}.borrowingLimitPercent", limited.get("borrowingLimitPercent", 0))
    response = limited.get("limitResponse", {})
    found += one_of(f"{path}.limitResponse.type", response.get("type", ""), ("Queue", "Reject"))
    queuing, here = response.get("queuing"), f"{path}.limitResponse.queuing"
    if response.get("type") == "Reject" and queuing is not None:
        found.append(forbidden(here, "must be nil if limited.limitResponse.type is not Limited"))
    if response.get("type") == "Queue" and queuing is not None:
        for field in ("queues", "handSize", "queueLengthLimit"):
            if queuing[field] <= 0:
                found.append(invalid(f"{here}.{field}", queuing[field], "must be positive"))
        if queuing["queues"] > _QUEUES_MAX:
            found.append(invalid(f"{here}.queues", queuing["queues"], "must not be greater than 10000000"))
        if queuing["handSize"] > queuing["queues"]:
            why = f"should not be greater than queues ({queuing['queues']})"
            found.append(invalid(f"{here}.handSize", queuing["handSize"], why))
    return found


def _row(level: Document, now_s: float) -> list[Any]:
    spec = level.get("spec", {})
    shares = (spec.get("limited") or spec.get("exempt") or {}).get("nominalConcurrencyShares", NONE)
    queuing = spec.get("limited", {}).get("limitResponse", {}).get("queuing", {})
    sizes = [queuing.get(field, NONE) for field in ("queues", "handSize", "queueLengthLimit")]
    return [level["metadata"]["name"], spec.get("type", ""), shares, *sizes, age(level, now_s)]


PRIORITYLEVELCONFIGURATIONS = Resource(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    namespaced=False,
    model=PriorityLevelConfiguration,
    storage_prefix="prioritylevelconfigurations",
    subresources=("status",),
    columns=(
        NAME,
        Column("Type", description="Whether requests of the level are limited."),
        Column("NominalConcurrencyShares", description="Its part of what may run at a time."),
        Column("Queues", description="How many queues there are."),
        Column("HandSize", description="How many of them a flow may use."),
        Column("QueueLengthLimit", description="How many requests may wait in one."),
        AGE,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_name=subdomain_name,
)
