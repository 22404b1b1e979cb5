"""ValidatingAdmissionPolicy: what must be true of objects that are written, in CEL."""

from collections.abc import Sequence
from typing import Any

from minik8s.api.admissionregistration_v1 import ValidatingAdmissionPolicy
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import duplicate, invalid, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status
from minik8s.control.apiserver.resources.webhookrule import default_rules, validate_conditions, validate_rule

_RULES = ("resourceRules", "excludeResourceRules")


def default_match(match: Document) -> None:
    """As kube-apiserver, for policies and their bindings."""
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for name in _RULES:
        default_rules(match.get(name, []))


def validate_match(match: Document, path: str) -> list[Cause]:
    """Causes for which requests are meant."""
    found = one_of(f"{path}.matchPolicy", match["matchPolicy"], ("Equivalent", "Exact"))
    for name in _RULES:
        for index, rule in enumerate(match.get(name, ())):
            found += validate_rule(rule, f"{path}.{name}[{index}]")
    return found


def _default(policy: Document) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if "matchConstraints" in spec:
        default_match(spec["matchConstraints"])


def _prepare_create(policy: Document) -> None:
    policy["status"] = _checked(policy, 1)


def _prepare_update(new: Document, old: Document) -> None:
    keep_status(new, old)
    if new.get("spec") != old.get("spec"):
        new["status"] = new.get("status", {}) | _checked(new, old["metadata"].get("generation", 0) + 1)


def _checked(policy: Document, generation: int) -> Document:
    """Upstream's controller says this a moment later; the check is pure and quick, so it is done with the write."""
    from minik8s.control.apiserver.admission.dynamic import typecheck  # With the first policy.

    return {"observedGeneration": generation, "typeChecking": typecheck.check(policy.get("spec", {}))}


def _validate(policy: Document) -> list[Cause]:
    spec = policy["spec"]
    found = one_of("spec.failurePolicy", spec["failurePolicy"], ("Fail", "Ignore"))
    kind = spec.get("paramKind")
    if kind is not None:
        found += [required(f"spec.paramKind.{field}") for field in ("apiVersion", "kind") if not kind.get(field)]
    if "matchConstraints" not in spec:
        found.append(required("spec.matchConstraints"))
    else:
        if not spec["matchConstraints"].get("resourceRules"):
            found.append(required("spec.matchConstraints.resourceRules"))
        found += validate_match(spec["matchConstraints"], "spec.matchConstraints")
    validations, audits = spec.get("validations", []), spec.get("auditAnnotations", [])
    if not validations and not audits:
        why = "validations or auditAnnotations must contain at least one item"
        found += [required("spec.validations", why), required("spec.auditAnnotations", why)]
    found += validate_variables(spec.get("variables", []))
    variables = [each.get("name", "") for each in spec.get("variables", ())]
    found += validate_conditions(spec.get("matchConditions", []), "spec.matchConditions", variables=variables)
    for index, validation in enumerate(validations):
        found += _validate_rule(validation, f"spec.validations[{index}]", variables)
    for index, audit in enumerate(audits):
        path, expression = f"spec.auditAnnotations[{index}]", audit.get("valueExpression", "")
        if not audit.get("key"):
            found.append(required(f"{path}.key"))
        found += validate_expression(expression, f"{path}.valueExpression", variables, "string null_type")
    return found


def _validate_rule(validation: Document, path: str, variables: Sequence[str]) -> list[Cause]:
    found = validate_expression(validation.get("expression", ""), f"{path}.expression", variables, "bool")
    if said := validation.get("messageExpression", ""):
        found += validate_expression(said, f"{path}.messageExpression", variables, "string")
    if (message := validation.get("message")) is not None:
        if not message.strip():
            found.append(invalid(f"{path}.message", message, "message must be non-empty if specified"))
        elif "\n" in message.strip():
            found.append(invalid(f"{path}.message", message, "message must not contain line breaks"))
    elif "\n" in validation.get("expression", "").strip():
        found.append(required(f"{path}.message", "message must be specified if expression contains line breaks"))
    if reason := validation.get("reason"):
        found += one_of(f"{path}.reason", reason, ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"))
    return found


def validate_variables(variables: list[Document]) -> list[Cause]:
    """Causes for the variables of a policy; each sees those before it."""
    found: list[Cause] = []
    known: list[str] = []
    for index, variable in enumerate(variables):
        path, name = f"spec.variables[{index}]", variable.get("name", "")
        if not name.isidentifier() or not name.isascii():
            found.append(invalid(f"{path}.name", name, "name is not a valid CEL identifier"))
        elif name in known:
            found.append(duplicate(f"{path}.name", name))
        found += validate_expression(variable.get("expression", ""), f"{path}.expression", known, "")
        known.append(name)
    return found


def validate_expression(expression: str, path: str, variables: Sequence[str], results: str) -> list[Cause]:
    """Causes for an expression of a policy."""
    from minik8s.control.apiserver.cel import environments  # With the first expression.

    if not expression.strip():
        return [required(path, "expression is not specified")]
    return environments.expression_faults(expression, path, environments.POLICY_NAMES, variables, results)


def _row(policy: Document, now_s: float) -> list[Any]:
    spec = policy.get("spec", {})
    kind = spec.get("paramKind")
    shown = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"
    return [policy["metadata"]["name"], len(spec.get("validations", ())), shown, age(policy, now_s)]


VALIDATINGADMISSIONPOLICIES = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    namespaced=False,
    model=ValidatingAdmissionPolicy,
    storage_prefix="validatingadmissionpolicies",
    categories=("api-extensions",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Validations", "integer", description="How many rules there are."),
        Column("ParamKind", description="The kind of what it is parametrised by."),
        AGE,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_name=subdomain_name,
)
