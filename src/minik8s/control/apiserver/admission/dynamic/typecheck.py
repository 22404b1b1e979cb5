"""Type checking of policies: do the fields exist that expressions look at, in the kinds the rules name? Pure.

Called when a policy is written; what is found are warnings in its status, as the policy may be about other versions
too. As k8s.io/apiserver/pkg/admission/plugin/policy/validating/typechecking.go: kinds named by wildcards and custom
ones are not checked, and at most ten are.
"""

from collections.abc import Iterator, Mapping

from minik8s.control.apiserver.cel import CelError, compile
from minik8s.control.apiserver.cel.environments import POLICY_NAMES
from minik8s.control.apiserver.cel.model_types import type_of
from minik8s.control.apiserver.cel.types import DYN, CelType
from minik8s.control.apiserver.resource import Document, Resource

_KINDS_MAX = 10


def check(spec: Document) -> Document:
    """TypeChecking of a policy's status."""
    kinds = list(_kinds(spec))[:_KINDS_MAX]
    warnings = []
    for index, validation in enumerate(spec.get("validations", ())):
        for field in ("expression", "messageExpression"):
            expression = validation.get(field, "")
            if expression and (found := "\n".join(_warnings(expression, spec, kinds))):
                warnings.append({"fieldRef": f"spec.validations[{index}].{field}", "warning": found})
    return {"expressionWarnings": warnings} if warnings else {}


def _kinds(spec: Document) -> Iterator[Resource]:
    """The built-in kinds that the rules name."""
    from minik8s.control.apiserver import resources  # Which holds the kind that asks.

    for rule in spec.get("matchConstraints", {}).get("resourceRules", ()):
        for each in resources.ALL:
            if (
                each.group in rule.get("apiGroups", ())
                and each.version in rule.get("apiVersions", ())
                and each.plural in rule.get("resources", ())
            ):
                yield each


def _warnings(expression: str, spec: Document, kinds: list[Resource]) -> Iterator[str]:
    for kind in kinds:
        seen = type_of(kind.model)
        declared: dict[str, CelType] = dict.fromkeys(POLICY_NAMES, DYN) | {"object": seen, "oldObject": seen}
        declared["variables"] = CelType("object", fields=_variables(spec, declared))
        try:
            compile(expression, declared)
        except CelError as error:
            yield f"{kind.api_version}, Kind={kind.kind}: {error.message}\n"


def _variables(spec: Document, declared: Mapping[str, CelType]) -> Mapping[str, CelType]:
    """The types of variables; of one that cannot be typed nothing is known."""
    known: dict[str, CelType] = {}
    for variable in spec.get("variables", ()):
        try:
            program = compile(
                variable.get("expression", ""), {**declared, "variables": CelType("object", fields=known)}
            )
            known = {**known, variable.get("name", ""): program.result}
        except CelError:
            known = {**known, variable.get("name", ""): DYN}
    return known
