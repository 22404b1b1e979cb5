"""PodDisruptionBudget: how many pods of a set may be down at once by somebody's will."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.policy_v1 import PodDisruptionBudget
from minik8s.control.apiserver.causes import invalid, one_of
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podtemplate import validate_label_selector
from minik8s.control.apiserver.resources.share import validate_share
from minik8s.control.apiserver.resources.status import keep_status

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


def _default(budget: Document) -> None:
    budget.setdefault("spec", {})


def _prepare_create(budget: Document) -> None:
    budget["status"] = dict.fromkeys(_COUNTS, 0)


def _validate(budget: Document) -> list[Cause]:
    spec = budget["spec"]
    found = []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        found.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for field in ("minAvailable", "maxUnavailable"):
        if field in spec:
            found += validate_share(spec[field], f"spec.{field}", limit=100)
    if "selector" in spec:
        found += validate_label_selector(spec["selector"], "spec.selector")
    if "unhealthyPodEvictionPolicy" in spec:
        found += one_of("spec.unhealthyPodEvictionPolicy", spec["unhealthyPodEvictionPolicy"], _POLICIES)
    return found


def _row(budget: Document, now_s: float) -> list[Any]:
    spec = budget.get("spec", {})
    return [
        budget["metadata"]["name"],
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        budget.get("status", {}).get("disruptionsAllowed", 0),
        age(budget, now_s),
    ]


PODDISRUPTIONBUDGETS = Resource(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    namespaced=True,
    model=PodDisruptionBudget,
    storage_prefix="poddisruptionbudgets",
    short_names=("pdb",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Min Available", description="How many must be up."),
        Column("Max Unavailable", description="How many may be down."),
        Column("Allowed Disruptions", "integer", description="How many may be taken down now."),
        AGE,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_name=subdomain_name,
)
