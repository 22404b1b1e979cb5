"""MutatingAdmissionPolicyBinding: where a policy changes objects."""

from typing import Any

from minik8s.api.admissionregistration_v1 import MutatingAdmissionPolicyBinding
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.validatingadmissionpolicy import default_match, validate_match
from minik8s.control.apiserver.resources.validatingadmissionpolicybinding import show_reference, validate_reference


def _default(binding: Document) -> None:
    spec = binding.setdefault("spec", {})
    if "matchResources" in spec:
        default_match(spec["matchResources"])


def _validate(binding: Document) -> list[Cause]:
    spec = binding["spec"]
    found = [] if spec.get("policyName") else [required("spec.policyName")]
    if (reference := spec.get("paramRef")) is not None:
        found += validate_reference(reference)
    if "matchResources" in spec:
        found += validate_match(spec["matchResources"], "spec.matchResources")
    return found


def _row(binding: Document, now_s: float) -> list[Any]:
    spec = binding.get("spec", {})
    shown = show_reference(spec.get("paramRef"))
    return [binding["metadata"]["name"], spec.get("policyName", ""), shown, age(binding, now_s)]


MUTATINGADMISSIONPOLICYBINDINGS = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    namespaced=False,
    model=MutatingAdmissionPolicyBinding,
    storage_prefix="mutatingadmissionpolicybindings",
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
