"""MutatingAdmissionPolicy: how objects that are written are changed, in CEL."""

from collections.abc import Sequence
from typing import Any

from minik8s.api.admissionregistration_v1 import MutatingAdmissionPolicy
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import invalid, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.validatingadmissionpolicy import (
    default_match,
    validate_expression,
    validate_match,
    validate_variables,
)
from minik8s.control.apiserver.resources.webhookrule import validate_conditions

_FIELDS = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
_RESULTS = {"ApplyConfiguration": "object", "JSONPatch": "list"}


def _default(policy: Document) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if "matchConstraints" in spec:
        default_match(spec["matchConstraints"])


def _validate(policy: Document) -> list[Cause]:
    spec = policy["spec"]
    found = one_of("spec.failurePolicy", spec["failurePolicy"], ("Fail", "Ignore"))
    kind = spec.get("paramKind")
    if kind is not None:
        found += [required(f"spec.paramKind.{field}") for field in ("apiVersion", "kind") if not kind.get(field)]
    found += _validate_match(spec)
    found += validate_variables(spec.get("variables", []))
    variables = [each.get("name", "") for each in spec.get("variables", ())]
    found += validate_conditions(spec.get("matchConditions", []), "spec.matchConditions", variables=variables)
    if not spec.get("mutations"):
        found.append(required("spec.mutations", "mutations must contain at least one item"))
    for index, mutation in enumerate(spec.get("mutations", ())):
        found += _validate_mutation(mutation, f"spec.mutations[{index}]", variables)
    if not spec.get("reinvocationPolicy"):
        return [*found, required("spec.reinvocationPolicy")]
    return found + one_of("spec.reinvocationPolicy", spec["reinvocationPolicy"], ("IfNeeded", "Never"))


def _validate_match(spec: Document) -> list[Cause]:
    match, path = spec.get("matchConstraints"), "spec.matchConstraints"
    if match is None:
        return [required(path)]
    found = [] if match.get("resourceRules") else [required(f"{path}.resourceRules")]
    for index, rule in enumerate(match.get("resourceRules", ())):
        if "DELETE" in rule.get("operations", ()):
            why = "must not be DELETE; it is not supported by MutatingAdmissionPolicy"
            found.append(invalid(f"{path}.resourceRules[{index}].operations", rule["operations"], why))
    return found + validate_match(match, path)


def _validate_mutation(mutation: Document, path: str, variables: Sequence[str]) -> list[Cause]:
    kind = mutation.get("patchType", "")
    if not kind:
        return [required(f"{path}.patchType")]
    if kind not in _FIELDS:
        return one_of(f"{path}.patchType", kind, sorted(_FIELDS))
    field = _FIELDS[kind]
    found = [
        invalid(f"{path}.{other}", mutation[other], f"must not be specified with patchType {kind}")
        for other in _FIELDS.values()
        if other != field and other in mutation
    ]
    if field not in mutation:
        return [*found, required(f"{path}.{field}", f"must be specified with patchType {kind}")]
    expression = mutation[field].get("expression", "")
    return found + validate_expression(expression, f"{path}.{field}.expression", variables, _RESULTS[kind])


def _row(policy: Document, now_s: float) -> list[Any]:
    spec = policy.get("spec", {})
    kind = spec.get("paramKind")
    shown = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"
    return [policy["metadata"]["name"], len(spec.get("mutations", ())), shown, age(policy, now_s)]


MUTATINGADMISSIONPOLICIES = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    namespaced=False,
    model=MutatingAdmissionPolicy,
    storage_prefix="mutatingadmissionpolicies",
    categories=("api-extensions",),
    columns=(
        NAME,
        Column("Mutations", "integer", description="How many changes there are."),
        Column("ParamKind", description="The kind of what it is parametrised by."),
        AGE,
    ),
    row=_row,
    default=_default,
    validate=_validate,
    validate_name=subdomain_name,
)
