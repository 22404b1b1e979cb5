"""LimitRanger: what pods and claims ask for is within the LimitRanges of their namespace, or comes from there."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from minik8s.api.amounts import Amounts, pod_amounts
from minik8s.api.quantity import parse
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

ANNOTATION = "kubernetes.io/limit-ranger"

_Rule = Callable[[str, str, str, Amounts, Amounts], str]  # (type, resource, bound, requests, limits) → fault or ""


class LimitRanger(Plugin):
    """As upstream: all LimitRanges of the namespace apply, in the order of their names."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Containers of new pods get the defaults."""
        if attributes.creates("pods"):
            for limits in await attributes.reader.list("limitranges", attributes.namespace):
                _fill_in(document, limits)

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """New pods, resized pods and claims are within the bounds; what an update leaves as it was is not judged."""
        is_pod = attributes.creates("pods") or attributes.writes("pods", subresource="resize")
        if not is_pod and not attributes.writes("persistentvolumeclaims"):
            return
        for limits in await attributes.reader.list("limitranges", attributes.namespace):
            found: list[str] = []
            for item in limits.get("spec", {}).get("limits", ()):
                old = attributes.old or {}
                found += _pod_faults(item, document, old) if is_pod else _claim_faults(item, document, old)
            if faults := list(dict.fromkeys(found)):
                raise attributes.refuse(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


def _fill_in(pod: Document, limits: Document) -> None:
    defaults: dict[str, Amounts] = {"requests": {}, "limits": {}}
    for item in limits.get("spec", {}).get("limits", ()):
        if item.get("type") == "Container":
            defaults["requests"] |= item.get("defaultRequest", {})
            defaults["limits"] |= item.get("default", {})
    spec, notes = pod.get("spec", {}), []
    for part, kind in (("containers", "container"), ("initContainers", "init container")):
        for container in spec.get(part, ()):
            for field in ("requests", "limits"):
                resources = container.setdefault("resources", {})
                missing = sorted(defaults[field].keys() - resources.get(field, {}).keys())
                if missing:
                    resources[field] = resources.get(field, {}) | {name: defaults[field][name] for name in missing}
                    notes.append(
                        f"{', '.join(missing)} {field.removesuffix('s')} for {kind} {container.get('name', '')}"
                    )
    if notes:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[ANNOTATION] = f"LimitRanger plugin set: {'; '.join(notes)}"


def _pod_faults(item: Document, pod: Document, old: Document) -> list[str]:
    spec, before = pod.get("spec", {}), old.get("spec", {})
    rules: list[tuple[str, _Rule]] = [("min", _below), ("max", _above), ("maxLimitRequestRatio", _too_steep)]
    faults: list[str] = []
    if item.get("type") == "Pod":
        asked = [pod_amounts(spec, part) for part in ("requests", "limits")]
        was = [pod_amounts(before, part) for part in ("requests", "limits")] if before else None
        faults += _faults(item, rules, asked, was)
    if item.get("type") == "Container":
        for part in ("containers", "initContainers"):
            known = {each.get("name"): each for each in before.get(part, ())}
            for container in spec.get(part, ()):
                was = _resources(known[container.get("name")]) if container.get("name") in known else None
                faults += _faults(item, rules, _resources(container), was)
    return faults


def _claim_faults(item: Document, claim: Document, old: Document) -> list[str]:
    if item.get("type") != "PersistentVolumeClaim":
        return []
    asked = [_resources(claim.get("spec", {}))[0], {}]
    was = [_resources(old["spec"])[0], {}] if old else None
    return _faults(item, [("min", _below), ("max", _above_request)], asked, was)


def _resources(holder: Document) -> list[Amounts]:
    resources = holder.get("resources", {})
    return [resources.get("requests", {}), resources.get("limits", {})]


def _faults(
    item: Document, rules: Iterable[tuple[str, _Rule]], asked: list[Amounts], was: list[Amounts] | None
) -> list[str]:
    found = []
    for part, rule in rules:
        for name, bound in sorted(item.get(part, {}).items()):
            if was is None or any(now.get(name) != before.get(name) for now, before in zip(asked, was, strict=True)):
                found.append(rule(item["type"], name, bound, *asked))
    return [fault for fault in found if fault]


def _below(kind: str, name: str, bound: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> str:
    rule = f"minimum {name} usage per {kind} is {bound}"
    if name not in requests:
        return f"{rule}.  No request is specified"
    if parse(requests[name]) < parse(bound):
        return f"{rule}, but request is {requests[name]}"
    if name in limits and parse(limits[name]) < parse(bound):
        return f"{rule}, but limit is {limits[name]}"
    return ""


def _above(kind: str, name: str, bound: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> str:
    rule = f"maximum {name} usage per {kind} is {bound}"
    if name not in limits:
        return f"{rule}.  No limit is specified"
    if parse(limits[name]) > parse(bound):
        return f"{rule}, but limit is {limits[name]}"
    if name in requests and parse(requests[name]) > parse(bound):
        return f"{rule}, but request is {requests[name]}"
    return ""


def _above_request(kind: str, name: str, bound: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> str:
    """As `_above`, of what has no limits."""
    rule = f"maximum {name} usage per {kind} is {bound}"
    if name not in requests:
        return f"{rule}.  No request is specified"
    return f"{rule}, but request is {requests[name]}" if parse(requests[name]) > parse(bound) else ""


def _too_steep(kind: str, name: str, bound: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> str:
    rule = f"{name} max limit to request ratio per {kind} is {bound}"
    request, limit = (parse(amounts.get(name, "0")) for amounts in (requests, limits))
    if not request:
        return f"{rule}, but no request is specified or request is 0"
    if not limit:
        return f"{rule}, but no limit is specified or limit is 0"
    ratio = Fraction(limit, request)
    return f"{rule}, but provided ratio is {float(ratio):f}" if ratio > parse(bound) else ""
