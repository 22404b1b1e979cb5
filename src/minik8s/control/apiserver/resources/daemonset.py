"""DaemonSet: a pod on every node that qualifies."""

from typing import Any

from minik8s.api.apps_v1 import DaemonSet
from minik8s.api.errors import Cause
from minik8s.api.selectors import format_label_selector, format_labels
from minik8s.control.apiserver.causes import immutable, invalid, not_negative, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, template_cells
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podtemplate import default_template, validate_workload
from minik8s.control.apiserver.resources.share import is_zero, validate_share
from minik8s.control.apiserver.resources.status import keep_status

_COUNTS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")


def _default(daemonset: Document) -> None:
    spec = daemonset.setdefault("spec", {})
    default_template(spec)
    strategy = spec.setdefault("updateStrategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def _prepare_create(daemonset: Document) -> None:
    daemonset["status"] = dict.fromkeys(_COUNTS, 0)


def _validate(daemonset: Document) -> list[Cause]:
    spec = daemonset["spec"]
    found = validate_workload(spec, owner="DaemonSet")
    found += not_negative("spec.revisionHistoryLimit", spec["revisionHistoryLimit"])
    return found + _validate_strategy(spec["updateStrategy"], "spec.updateStrategy")


def _validate_strategy(strategy: Document, path: str) -> list[Cause]:
    found = one_of(f"{path}.type", strategy["type"], ("OnDelete", "RollingUpdate"))
    if strategy["type"] != "RollingUpdate":
        return found
    path += ".rollingUpdate"
    rolling = strategy["rollingUpdate"]
    unavailable, surge = rolling["maxUnavailable"], rolling["maxSurge"]
    found += validate_share(unavailable, f"{path}.maxUnavailable", limit=100)
    found += validate_share(surge, f"{path}.maxSurge", limit=100)
    if is_zero(unavailable) and is_zero(surge):
        found.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    elif not is_zero(unavailable) and not is_zero(surge):
        found.append(invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("spec.selector", new["spec"].get("selector"), old["spec"].get("selector"))


def _row(daemonset: Document, now_s: float) -> list[Any]:
    spec, status = daemonset.get("spec", {}), daemonset.get("status", {})
    template = spec.get("template", {})
    return [
        daemonset["metadata"]["name"],
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        format_labels(template.get("spec", {}).get("nodeSelector", {})),
        age(daemonset, now_s),
        *template_cells(template),
        format_label_selector(spec.get("selector")),
    ]


DAEMONSETS = Resource(
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    namespaced=True,
    model=DaemonSet,
    storage_prefix="daemonsets",
    short_names=("ds",),
    categories=("all",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Desired", "integer", description="How many nodes should run the pod."),
        Column("Current", "integer", description="How many do."),
        Column("Ready", "integer", description="On how many of them it is ready."),
        Column("Up-to-date", "integer", description="Pods of the newest template."),
        Column("Available", "integer", description="Pods ready for long enough."),
        Column("Node Selector", description="Which nodes qualify."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
