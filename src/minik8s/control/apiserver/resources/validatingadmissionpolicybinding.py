"""ValidatingAdmissionPolicyBinding: where a policy holds, and what happens to those who do not keep it."""

from typing import Any

from minik8s.api.admissionregistration_v1 import ValidatingAdmissionPolicyBinding
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import duplicate, invalid, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.validatingadmissionpolicy import default_match, validate_match


def _default(binding: Document) -> None:
    spec = binding.setdefault("spec", {})
    if "matchResources" in spec:
        default_match(spec["matchResources"])


def _validate(binding: Document) -> list[Cause]:
    spec = binding["spec"]
    found = [] if spec.get("policyName") else [required("spec.policyName")]
    actions = spec.get("validationActions", [])
    if not actions:
        found.append(required("spec.validationActions"))
    for index, action in enumerate(actions):
        found += one_of(f"spec.validationActions[{index}]", action, ("Audit", "Deny", "Warn"))
        if action in actions[:index]:
            found.append(duplicate(f"spec.validationActions[{index}]", action))
    if {"Deny", "Warn"} <= set(actions):
        why = "must not contain both Deny and Warn (repeating the same validation failure information in the API "
        found.append(invalid("spec.validationActions", actions, why + "response and headers serves no purpose)"))
    if (reference := spec.get("paramRef")) is not None:
        found += validate_reference(reference)
    if "matchResources" in spec:
        found += validate_match(spec["matchResources"], "spec.matchResources")
    return found


def validate_reference(reference: Document) -> list[Cause]:
    """Causes for the reference of a binding to its parameters."""
    path = "spec.paramRef"
    if bool(reference.get("name")) == (reference.get("selector") is not None):
        return [required(path, "one of name or selector must be specified")]
    action = reference.get("parameterNotFoundAction")
    if not action:
        return [required(f"{path}.parameterNotFoundAction")]
    return one_of(f"{path}.parameterNotFoundAction", action, ("Allow", "Deny"))


def show_reference(reference: Document | None) -> str:
    """The parameters of a binding, as tables show them."""
    if reference is None:
        return "<unset>"
    name = reference.get("name", "*")
    return f"{reference['namespace']}/{name}" if reference.get("namespace") else f"*/{name}"


def _row(binding: Document, now_s: float) -> list[Any]:
    spec = binding.get("spec", {})
    shown = show_reference(spec.get("paramRef"))
    return [binding["metadata"]["name"], spec.get("policyName", ""), shown, age(binding, now_s)]


VALIDATINGADMISSIONPOLICYBINDINGS = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    namespaced=False,
    model=ValidatingAdmissionPolicyBinding,
    storage_prefix="validatingadmissionpolicybindings",
    categories=("api-extensions",),
    columns=(
        NAME,
        Column("PolicyName", description="The policy that holds."),
        Column("ParamRef", description="What it is parametrised by."),
        AGE,
    ),
    row=_row,
    default=_default,
    validate=_validate,
    validate_name=subdomain_name,
)
