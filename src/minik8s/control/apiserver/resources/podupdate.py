"""What may change in a pod: its spec hardly at all. Moving it to a node is the binding's business."""

from copy import copy

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import forbidden, invalid
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.container import validate_image

_ONLY = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_pod_update(new: Document, old: Document) -> list[Cause]:
    """Causes for changes of a pod's spec."""
    spec, before = new.get("spec", {}), old.get("spec", {})
    if spec == before:
        return []
    found: list[Cause] = []
    for part in ("containers", "initContainers"):
        if len(spec.get(part, ())) != len(before.get(part, ())):
            return [*found, forbidden(f"spec.{part}", "pod updates may not add or remove containers")]
        for index, container in enumerate(spec.get(part, ())):
            found += validate_image(container, f"spec.{part}[{index}]")
    found += _validate_deadline(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    found += _validate_tolerations(spec.get("tolerations", []), before.get("tolerations", []))
    found += _validate_gates(spec.get("schedulingGates", []), before.get("schedulingGates", []))
    changed = sorted(key for key in spec.keys() | before.keys() if _fixed(spec, before).get(key) != before.get(key))
    if changed:
        # Upstream shows a diff here; the names of the fields say as much in a line.
        found.append(forbidden("spec", f"{_ONLY}\nchanged: {', '.join(f'spec.{key}' for key in changed)}"))
    return found


def _fixed(spec: Document, before: Document) -> Document:
    """The spec with everything that may change put back to what it was."""
    spec = copy(spec)
    for part in ("containers", "initContainers"):
        pairs = zip(spec.get(part, ()), before.get(part, ()), strict=True)
        if part in before:
            spec[part] = [container | {"image": was.get("image", "")} for container, was in pairs]
    for part in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        spec.pop(part, None)
        if part in before:
            spec[part] = before[part]
    if before.get("terminationGracePeriodSeconds", 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        spec["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    return spec


def _validate_deadline(new: int | None, old: int | None) -> list[Cause]:
    path = "spec.activeDeadlineSeconds"
    if new == old or old is None:
        return []
    if new is None:
        return [invalid(path, None, "must not update from a positive integer to nil value")]
    if new > old:
        return [invalid(path, new, f"must be less than or equal to previous value {old}")]
    return []


def _validate_tolerations(new: list[Document], old: list[Document]) -> list[Cause]:
    kept = [_without_seconds(item) for item in new]
    if all(_without_seconds(item) in kept for item in old):
        return []
    return [forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]


def _without_seconds(toleration: Document) -> Document:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _validate_gates(new: list[Document], old: list[Document]) -> list[Cause]:
    if all(gate in old for gate in new):
        return []
    return [forbidden("spec.schedulingGates", "only deletion is allowed, but found new scheduling gate")]
