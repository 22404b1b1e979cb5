"""LimitRange: bounds and defaults for what each object of a namespace may ask for."""

from minik8s.api.core_v1 import LimitRange
from minik8s.api.errors import Cause
from minik8s.api.names import label_key_faults
from minik8s.api.quantity import parse
from minik8s.control.apiserver.causes import each_invalid, forbidden, invalid
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.columns import CREATED_AT, NAME, created_row
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

_PARTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def _default(limits: Document) -> None:
    """As kube-apiserver: what is not said of containers follows from what is."""
    for item in limits.setdefault("spec", {}).setdefault("limits", []):
        if item.get("type") != "Container":
            continue
        default = item.setdefault("default", {})
        for name, amount in item.get("max", {}).items():
            default.setdefault(name, amount)
        request = item.setdefault("defaultRequest", {})
        for source in (default, item.get("min", {})):
            for name, amount in source.items():
                request.setdefault(name, amount)
        for part in ("default", "defaultRequest"):
            if not item[part]:
                del item[part]


def _validate(limits: Document) -> list[Cause]:
    found = []
    seen = set()
    for index, item in enumerate(limits["spec"]["limits"]):
        path, kind = f"spec.limits[{index}]", item.get("type", "")
        found += each_invalid(f"{path}.type", kind, label_key_faults(kind))
        if kind in seen:
            found.append(Cause("FieldValueDuplicate", "Duplicate value", f"{path}.type"))
        seen.add(kind)
        found += _validate_item(item, kind, path)
    return found


def _validate_item(item: Document, kind: str, path: str) -> list[Cause]:
    found = []
    if kind == "Pod":
        for part in ("default", "defaultRequest"):
            if item.get(part):
                why = "may not be specified when `type` is 'Pod'"
                found.append(forbidden(f"{path}.{part}", why))
    for name in sorted({name for part in _PARTS for name in item.get(part, {})}):
        amounts = {part: parse(item[part][name]) for part in _PARTS if name in item.get(part, {})}
        # Each pair must be in this order.
        for low, high in (
            ("min", "max"),
            ("min", "defaultRequest"),
            ("defaultRequest", "max"),
            ("defaultRequest", "default"),
            ("min", "default"),
            ("default", "max"),
        ):
            if low in amounts and high in amounts and amounts[low] > amounts[high]:
                text = {part: item[part][name] for part in (low, high)}
                place = low if high == "max" else high
                why = f"{low} value {text[low]} is greater than {high} value {text[high]}"
                found.append(invalid(f"{path}.{place}[{name}]", text[place], why))
        if amounts.get("maxLimitRequestRatio", 1) < 1:
            ratio = item["maxLimitRequestRatio"][name]
            found.append(invalid(f"{path}.maxLimitRequestRatio[{name}]", ratio, f"ratio {ratio} is less than 1"))
    return found


LIMITRANGES = Resource(
    group="",
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    namespaced=True,
    model=LimitRange,
    storage_prefix="limitranges",
    short_names=("limits",),
    columns=(NAME, CREATED_AT),
    row=created_row,
    default=_default,
    validate=_validate,
    validate_name=subdomain_name,
)
