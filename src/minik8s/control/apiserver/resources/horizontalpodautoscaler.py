"""HorizontalPodAutoscaler (autoscaling/v2): as many replicas as metrics ask for."""

from typing import Any

from minik8s.api.autoscaling_v2 import HorizontalPodAutoscaler
from minik8s.api.errors import Cause
from minik8s.api.quantity import parse
from minik8s.control.apiserver.causes import forbidden, invalid, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status

_CPU_UTILIZATION = 80
# Metric type → the field that describes it.
SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_POLICIES = {
    "scaleUp": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
    "scaleDown": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
_TARGETS = {"AverageValue": "averageValue", "Utilization": "averageUtilization", "Value": "value"}
_STABILIZATION_S_MAX = 3600
_PERIOD_S_MAX = 1800
_METRICS_SHOWN = 2


def _default(autoscaler: Document) -> None:
    spec = autoscaler.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": _CPU_UTILIZATION}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        for direction, policies in _POLICIES.items():
            rules = behavior.setdefault(direction, {})
            if direction == "scaleUp":
                rules.setdefault("stabilizationWindowSeconds", 0)
            rules.setdefault("selectPolicy", "Max")
            if not rules.get("policies"):
                rules["policies"] = [dict(policy) for policy in policies]


def _prepare_create(autoscaler: Document) -> None:
    autoscaler["status"] = {"desiredReplicas": 0}


def _validate(autoscaler: Document) -> list[Cause]:
    spec = autoscaler["spec"]
    low, high = spec["minReplicas"], spec.get("maxReplicas", 0)
    found = []
    if low < 1:
        found.append(invalid("spec.minReplicas", low, "must be greater than or equal to 1"))
    if high < 1:
        found.append(invalid("spec.maxReplicas", high, "must be greater than 0"))
    if high < low:
        found.append(invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef", {})
    found += [required(f"spec.scaleTargetRef.{field}") for field in ("kind", "name") if not target.get(field)]
    for index, metric in enumerate(spec["metrics"]):
        found += _validate_metric(metric, f"spec.metrics[{index}]")
    for direction, rules in spec.get("behavior", {}).items():
        found += _validate_rules(rules, f"spec.behavior.{direction}")
    return found


def _validate_metric(metric: Document, path: str) -> list[Cause]:
    kind = metric.get("type", "")
    if not kind:
        return [required(f"{path}.type", "must specify a metric source type")]
    if found := one_of(f"{path}.type", kind, SOURCES):
        return found
    source = metric.get(SOURCES[kind])
    if source is None:
        why = "must populate information for the given metric source"
        return [required(f"{path}.{SOURCES[kind]}", why)]
    others = [name for name in SOURCES.values() if name in metric and name != SOURCES[kind]]
    why = "must populate the given metric source only"
    found = [forbidden(f"{path}.{name}", why) for name in others]
    here = f"{path}.{SOURCES[kind]}"
    if kind in ("Resource", "ContainerResource") and not source.get("name"):
        found.append(required(f"{here}.name", "must specify a resource name"))
    if kind == "ContainerResource" and not source.get("container"):
        found.append(required(f"{here}.container", "must specify a container"))
    if kind in ("External", "Object", "Pods") and not source.get("metric", {}).get("name"):
        found.append(required(f"{here}.metric.name"))
    return found + _validate_target(source.get("target", {}), f"{here}.target")


def _validate_target(target: Document, path: str) -> list[Cause]:
    found = []
    if not target.get("type"):
        found.append(required(f"{path}.type", "must specify a metric target type"))
    else:
        found += one_of(f"{path}.type", target["type"], _TARGETS)
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        found.append(invalid(f"{path}.averageUtilization", utilization, "must be greater than 0"))
    for field in ("value", "averageValue"):
        if field in target and parse(target[field]) <= 0:
            found.append(invalid(f"{path}.{field}", target[field], "must be positive"))
    if not any(field in target for field in _TARGETS.values()):
        why = "must set either a target raw value or a target utilization"
        found.append(required(f"{path}.averageUtilization", why))
    return found


def _validate_rules(rules: Document, path: str) -> list[Cause]:
    window = rules.get("stabilizationWindowSeconds", 0)
    found = []
    if not 0 <= window <= _STABILIZATION_S_MAX:
        why = f"must be between 0 and {_STABILIZATION_S_MAX}, inclusive"
        found.append(invalid(f"{path}.stabilizationWindowSeconds", window, why))
    found += one_of(f"{path}.selectPolicy", rules.get("selectPolicy", "Max"), ("Disabled", "Max", "Min"))
    for index, policy in enumerate(rules.get("policies", ())):
        here = f"{path}.policies[{index}]"
        found += one_of(f"{here}.type", policy.get("type", ""), ("Percent", "Pods"))
        for field in ("value", "periodSeconds"):
            if policy.get(field, 0) < 1:
                found.append(invalid(f"{here}.{field}", policy.get(field, 0), "must be greater than zero"))
        if policy.get("periodSeconds", 0) > _PERIOD_S_MAX:
            why = f"must be less than or equal to {_PERIOD_S_MAX}"
            found.append(invalid(f"{here}.periodSeconds", policy["periodSeconds"], why))
    return found


def _targets(autoscaler: Document) -> str:
    """`cpu: 12%/80%, 1/5`: what is, of what is aimed at."""
    current = autoscaler.get("status", {}).get("currentMetrics", [])
    shown = []
    metrics = autoscaler.get("spec", {}).get("metrics", [])
    for index, metric in enumerate(metrics[:_METRICS_SHOWN]):
        kind = SOURCES.get(metric.get("type", ""), "")
        source = metric.get(kind, {})
        now = current[index].get(kind, {}).get("current", {}) if index < len(current) else {}
        label = f"{source.get('name', '')}: " if kind in ("resource", "containerResource") else ""
        shown.append(f"{label}{_amount(now)}/{_amount(source.get('target', {}))}")
    more = f" + {len(metrics) - _METRICS_SHOWN} more..." if len(metrics) > _METRICS_SHOWN else ""
    return (", ".join(shown) + more) or "<none>"


def _amount(values: Document) -> str:
    if "averageUtilization" in values:
        return f"{values['averageUtilization']}%"
    if "averageValue" in values:
        return str(values["averageValue"]) + (" (avg)" if "type" in values else "")
    return str(values.get("value", "<unknown>"))


def _row(autoscaler: Document, now_s: float) -> list[Any]:
    spec = autoscaler.get("spec", {})
    target = spec.get("scaleTargetRef", {})
    low = spec.get("minReplicas")
    return [
        autoscaler["metadata"]["name"],
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _targets(autoscaler),
        "<unset>" if low is None else str(low),
        spec.get("maxReplicas", 0),
        autoscaler.get("status", {}).get("currentReplicas", 0),
        age(autoscaler, now_s),
    ]


COLUMNS = (
    NAME,
    Column("Reference", description="What is scaled."),
    Column("Targets", description="Metrics as they are, of what is aimed at."),
    Column("MinPods", description="The fewest replicas."),
    Column("MaxPods", description="The most replicas."),
    Column("Replicas", description="How many there are."),
    AGE,
)

HORIZONTALPODAUTOSCALERS = Resource(
    group="autoscaling",
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    namespaced=True,
    model=HorizontalPodAutoscaler,
    storage_prefix="horizontalpodautoscalers",
    short_names=("hpa",),
    categories=("all",),
    subresources=("status",),
    columns=COLUMNS,
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_name=subdomain_name,
)
