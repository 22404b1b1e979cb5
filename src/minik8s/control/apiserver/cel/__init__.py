"""The Common Expression Language, with the libraries Kubernetes gives it.

`compile(source, declarations) -> Program`, `Program.evaluate(bindings, budget) -> value`; both raise CelError.
"""

from minik8s.control.apiserver.cel.errors import Budget, CelError, CostExceeded
from minik8s.control.apiserver.cel.program import Program, compile, compile_cached
from minik8s.control.apiserver.cel.types import DYN, CelType

__all__ = ["DYN", "Budget", "CelError", "CelType", "CostExceeded", "Program", "compile", "compile_cached"]
