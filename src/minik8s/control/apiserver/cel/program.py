"""Expressions, compiled once and evaluated often. The door to the package: everything else is behind it.

Called by admission policies, webhooks' match conditions and the schemas of custom resources. A program is immutable
and has no side effects; any text gives a program or a CelError, and any evaluation ends, as each step is paid from a
Budget.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from minik8s.control.apiserver.cel.compiler import MISSING, Code, Compiler
from minik8s.control.apiserver.cel.errors import Budget, CelError, located
from minik8s.control.apiserver.cel.libraries import functions
from minik8s.control.apiserver.cel.syntax import parse
from minik8s.control.apiserver.cel.types import DYN, CelType


class Program:
    """A compiled expression."""

    def __init__(self, source: str, names: tuple[str, ...], code: Code, size: int) -> None:
        self.source = source
        self.result = code.type  # what is known of the value's type
        self._names = names
        self._code = code
        self._blank = [MISSING] * (size - 1 - len(names))

    def evaluate(self, bindings: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value. Raises CelError (CostExceeded, if `budget` or COST_MAX is not enough)."""
        budget = budget or Budget()
        budget.spend(self._code.cost)
        frame = [budget, *[bindings.get(name, MISSING) for name in self._names], *self._blank]
        try:
            return self._code.run(frame)
        except RecursionError:
            raise CelError("expression recursion limit exceeded") from None
        except (OverflowError, ValueError, TypeError, ArithmeticError) as error:
            # What a library of Python's refuses; nothing of it may reach the request.
            raise CelError(f"evaluation failed: {error}") from error


def compile(source: str, declarations: Mapping[str, CelType] | None = None) -> Program:
    """The program of an expression over variables of these names (type DYN if nothing is known). Raises CelError."""
    declarations = declarations or {}
    try:
        compiler = Compiler(source, declarations, functions())
        code = compiler.compile(parse(source))
    except RecursionError:
        raise located(source, 0, "expression recursion limit exceeded") from None
    return Program(source, tuple(declarations), code, compiler.size)


@lru_cache(maxsize=1024)
def compile_cached(source: str, names: tuple[str, ...]) -> Program:
    """The same over variables of which nothing is known; programs that are in use are kept. Raises CelError."""
    return compile(source, dict.fromkeys(names, DYN))
