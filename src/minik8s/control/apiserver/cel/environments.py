"""What the expressions of admission see, and whether they can work: checked when they are written. Pure."""

from collections.abc import Sequence

from minik8s.api.errors import Cause
from minik8s.control.apiserver.cel.errors import CelError
from minik8s.control.apiserver.cel.program import Program, compile
from minik8s.control.apiserver.cel.types import DYN, CelType

CONDITION_NAMES = ("object", "oldObject", "request", "authorizer")  # match conditions of webhooks
POLICY_NAMES = (*CONDITION_NAMES, "params", "namespaceObject")  # expressions of policies, and `variables`


def compile_over(expression: str, names: Sequence[str], variables: Sequence[str] | None = None) -> Program:
    """The program of an expression that sees `names`, and those `variables`. Raises CelError."""
    declared = dict.fromkeys(names, DYN)
    if variables is not None:
        declared["variables"] = CelType("object", fields=dict.fromkeys(variables, DYN))
    return compile(expression, declared)


def expression_faults(
    expression: str, path: str, names: Sequence[str], variables: Sequence[str] | None = None, results: str = "bool"
) -> list[Cause]:
    """Causes for an expression that cannot be compiled, or whose value is none of `results` ("" takes any)."""
    try:
        found = compile_over(expression, names, variables).result.name
    except CelError as error:
        return [_wrong(path, expression, f"compilation failed: {error.message}")]
    if results and found not in ("dyn", *results.split()):
        return [_wrong(path, expression, f"compilation failed: must evaluate to {' or '.join(results.split())}")]
    return []


def _wrong(path: str, expression: str, why: str) -> Cause:
    import json

    return Cause("FieldValueInvalid", f"Invalid value: {json.dumps(expression, ensure_ascii=False)}: {why}", path)
