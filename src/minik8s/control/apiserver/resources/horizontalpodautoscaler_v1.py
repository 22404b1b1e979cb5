"""HorizontalPodAutoscaler in autoscaling/v1: CPU alone. What v2 has beyond it travels in annotations, as upstream."""

from typing import Any

import msgspec
from lightkube.models.autoscaling_v1 import HorizontalPodAutoscaler

from minik8s.control.apiserver.resource import Conversion, Document, Resource
from minik8s.control.apiserver.resources.horizontalpodautoscaler import COLUMNS, HORIZONTALPODAUTOSCALERS
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
_KEPT: dict[str, Any] = {_METRICS: list[dict], _BEHAVIOR: dict, _CONDITIONS: list[dict], _CURRENT_METRICS: list[dict]}


def _cpu_utilization(metric: Document, part: str) -> int | None:
    """The utilization of CPU that a metric is about, if that is all it says."""
    resource = metric.get("resource", {})
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    values = {name: value for name, value in resource.get(part, {}).items() if name != "type"}
    found: int | None = values.get("averageUtilization")
    return found if len(values) == 1 or part == "current" else None


def from_v2(document: Document) -> Document:
    """The v1 form: at most one utilization of CPU as fields, all else as JSON in annotations."""
    spec, status = dict(document.get("spec", {})), dict(document.get("status", {}))
    annotations = dict(document["metadata"].get("annotations", {}))
    others = []
    for metric in spec.pop("metrics", []):
        utilization = _cpu_utilization(metric, "target")
        if utilization is None or "targetCPUUtilizationPercentage" in spec:
            others.append(metric)
        else:
            spec["targetCPUUtilizationPercentage"] = utilization
    current = status.pop("currentMetrics", [])
    for metric in current:
        if (utilization := _cpu_utilization(metric, "current")) is not None:
            status.setdefault("currentCPUUtilizationPercentage", utilization)
    for name, value in (
        (_METRICS, others),
        (_BEHAVIOR, spec.pop("behavior", None)),
        (_CONDITIONS, status.pop("conditions", None)),
        (_CURRENT_METRICS, current),
    ):
        if value:
            annotations[name] = msgspec.json.encode(value).decode()
    status.setdefault("currentReplicas", 0)
    status.setdefault("desiredReplicas", 0)
    metadata = dict(document["metadata"])
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": spec, "status": status}


def to_v2(document: Document) -> Document:
    """The v2 form again."""
    spec, status = dict(document.get("spec", {})), dict(document.get("status", {}))
    metadata = dict(document["metadata"])
    annotations = dict(metadata.get("annotations", {}))
    kept = {name: _parsed(annotations.pop(name, ""), form) for name, form in _KEPT.items()}
    metrics = kept[_METRICS] or []
    utilization = spec.pop("targetCPUUtilizationPercentage", None)
    if utilization is not None:
        target = {"type": "Utilization", "averageUtilization": utilization}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    status.pop("currentCPUUtilizationPercentage", None)
    if not status.get("currentReplicas"):
        status.pop("currentReplicas", None)
    for tree, name, value in (
        (spec, "metrics", metrics),
        (spec, "behavior", kept[_BEHAVIOR]),
        (status, "conditions", kept[_CONDITIONS]),
        (status, "currentMetrics", kept[_CURRENT_METRICS]),
    ):
        if value:
            tree[name] = value
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    return {"metadata": metadata, "spec": spec, "status": status}


def _parsed(text: str, form: Any) -> Any:
    """What an annotation says; nothing if it is not what we wrote, as upstream."""
    try:
        return msgspec.json.decode(text, type=form) if text else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _row(document: Document, now_s: float) -> Any:
    return HORIZONTALPODAUTOSCALERS.row(to_v2(document), now_s)


HORIZONTALPODAUTOSCALERS_V1 = Resource(
    group="autoscaling",
    version="v1",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    namespaced=True,
    model=HorizontalPodAutoscaler,
    storage_prefix=HORIZONTALPODAUTOSCALERS.storage_prefix,
    short_names=HORIZONTALPODAUTOSCALERS.short_names,
    categories=HORIZONTALPODAUTOSCALERS.categories,
    subresources=HORIZONTALPODAUTOSCALERS.subresources,
    columns=COLUMNS,
    row=_row,
    validate_name=subdomain_name,
    conversion=Conversion(HORIZONTALPODAUTOSCALERS, from_v2, to_v2),
)
