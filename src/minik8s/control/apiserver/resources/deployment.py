"""Deployment: pods of one template, replaced step by step when the template changes."""

from typing import Any

from minik8s.api.apps_v1 import Deployment
from minik8s.api.errors import Cause
from minik8s.api.selectors import format_label_selector
from minik8s.control.apiserver.causes import forbidden, immutable, invalid, not_negative, one_of
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, template_cells
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podtemplate import default_template, validate_workload
from minik8s.control.apiserver.resources.share import is_zero, validate_share
from minik8s.control.apiserver.resources.status import keep_status

_QUARTER = "25%"


def _default(deployment: Document) -> None:
    spec = deployment.setdefault("spec", {})
    default_template(spec)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", _QUARTER)
        rolling.setdefault("maxSurge", _QUARTER)


def _prepare_create(deployment: Document) -> None:
    deployment["status"] = {}


def _validate(deployment: Document) -> list[Cause]:
    spec = deployment["spec"]
    found = validate_workload(spec) + _validate_strategy(spec["strategy"], "spec.strategy")
    found += not_negative("spec.revisionHistoryLimit", spec["revisionHistoryLimit"])
    deadline = spec["progressDeadlineSeconds"]
    found += not_negative("spec.progressDeadlineSeconds", deadline)
    if deadline <= spec.get("minReadySeconds", 0):
        found.append(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return found


def _validate_strategy(strategy: Document, path: str) -> list[Cause]:
    found = one_of(f"{path}.type", strategy["type"], ("Recreate", "RollingUpdate"))
    rolling = strategy.get("rollingUpdate")
    if rolling is None:
        return found
    if strategy["type"] == "Recreate":
        why = "may not be specified when strategy `type` is 'Recreate'"
        return [*found, forbidden(f"{path}.rollingUpdate", why)]
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    found += validate_share(unavailable, f"{path}.rollingUpdate.maxUnavailable", limit=100)
    found += validate_share(surge, f"{path}.rollingUpdate.maxSurge")
    if is_zero(unavailable) and is_zero(surge):
        # Nothing could ever be replaced.
        why = "may not be 0 when `maxSurge` is 0"
        found.append(invalid(f"{path}.rollingUpdate.maxUnavailable", unavailable, why))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("spec.selector", new["spec"].get("selector"), old["spec"].get("selector"))


def _prepare_update(new: Document, old: Document) -> None:
    keep_status(new, old)
    # As upstream: annotations of a Deployment are handed on to its ReplicaSets, so they are a change of what is wanted.
    if new["metadata"].get("annotations", {}) != old["metadata"].get("annotations", {}):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _row(deployment: Document, now_s: float) -> list[Any]:
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    return [
        deployment["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(deployment, now_s),
        *template_cells(spec.get("template", {})),
        format_label_selector(spec.get("selector")),
    ]


DEPLOYMENTS = Resource(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    namespaced=True,
    model=Deployment,
    storage_prefix="deployments",
    short_names=("deploy",),
    categories=("all",),
    subresources=("scale", "status"),
    columns=(
        NAME,
        Column("Ready", description="Ready pods of wanted ones."),
        Column("Up-to-date", description="Pods of the newest template."),
        Column("Available", description="Pods ready for long enough."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
