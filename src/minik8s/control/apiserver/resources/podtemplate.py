"""Pod templates and the selectors of what owns them: the rules that workloads share."""

from minik8s.api.errors import Cause
from minik8s.api.selectors import label_selector_matches, requirement_fault
from minik8s.control.apiserver.causes import forbidden, invalid, not_negative, not_supported, required
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.objectmeta import validate_annotations, validate_labels
from minik8s.control.apiserver.resources.podspec import default_pod_spec, validate_pod_spec

_OPERATORS = ("DoesNotExist", "Exists", "In", "NotIn")


def default_template(spec: Document) -> None:
    """Fill in the template of a workload's spec."""
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def validate_workload(spec: Document, path: str = "spec", *, owner: str = "ReplicaSet") -> list[Cause]:
    """Causes for replicas, selector and template of a spec after defaulting. `owner` is the kind, for messages."""
    found = not_negative(f"{path}.replicas", spec.get("replicas", 0))
    found += not_negative(f"{path}.minReadySeconds", spec.get("minReadySeconds", 0))
    selector = spec.get("selector")
    if selector is None:
        found.append(required(f"{path}.selector"))
    else:
        found += validate_label_selector(selector, f"{path}.selector")
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            # As upstream, ReplicaSets speak of deployments here.
            what = "deployment" if owner == "ReplicaSet" else owner.lower()
            found.append(invalid(f"{path}.selector", selector, f"empty selector is invalid for {what}"))
    template = spec.get("template", {})
    found += validate_selected(template, selector, f"{path}.template")
    found += validate_template(template, f"{path}.template")
    return found + validate_always_restarts(template.get("spec", {}), f"{path}.template.spec", owner=owner)


def validate_selected(template: Document, selector: Document | None, path: str) -> list[Cause]:
    """A cause if a selector would not find the pods of a template."""
    labels = template.get("metadata", {}).get("labels", {})
    if selector and not label_selector_matches(selector, labels):
        return [invalid(f"{path}.metadata.labels", labels, "`selector` does not match template `labels`")]
    return []


def validate_template(template: Document, path: str) -> list[Cause]:
    """Causes for a template, whatever its pods are for."""
    metadata = template.get("metadata", {})
    found = validate_labels(metadata.get("labels", {}), f"{path}.labels")
    found += validate_annotations(metadata.get("annotations", {}), f"{path}.annotations")
    return found + validate_pod_spec(template.get("spec", {}), f"{path}.spec")


def validate_always_restarts(spec: Document, path: str, *, owner: str) -> list[Cause]:
    """Causes for pods that are meant to run for ever and would end."""
    found = []
    if spec.get("restartPolicy") in ("Never", "OnFailure"):
        found.append(not_supported(f"{path}.restartPolicy", spec["restartPolicy"], ["Always"]))
    if "activeDeadlineSeconds" in spec:
        found.append(forbidden(f"{path}.activeDeadlineSeconds", f"activeDeadlineSeconds in {owner} is not Supported"))
    return found


def validate_label_selector(selector: Document, path: str) -> list[Cause]:
    """Causes for a LabelSelector."""
    found = validate_labels(selector.get("matchLabels", {}), f"{path}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions", ())):
        here = f"{path}.matchExpressions[{index}]"
        operator, values = expression.get("operator", ""), expression.get("values", [])
        if operator in ("In", "NotIn") and not values:
            found.append(required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist") and values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(forbidden(f"{here}.values", why))
        elif operator not in _OPERATORS:
            found.append(invalid(f"{here}.operator", operator, "not a valid selector operator"))
        elif fault := requirement_fault(expression.get("key", ""), operator.lower(), tuple(values)):
            what, _, why = fault.partition(": Invalid value: ")
            found.append(Cause("FieldValueInvalid", f"Invalid value: {why}", f"{here}.{what}"))
    return found
