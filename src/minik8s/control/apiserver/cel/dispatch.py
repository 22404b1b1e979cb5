"""Calls of functions: which overload is meant, by the types of the values. Pure; called by `compiler`."""

from collections.abc import Callable
from typing import Any

from minik8s.control.apiserver.cel.errors import CelError
from minik8s.control.apiserver.cel.functions import Overload
from minik8s.control.apiserver.cel.types import CelType
from minik8s.control.apiserver.cel.values import NUMBERS, type_name

Frame = list[Any]
Run = Callable[[Frame], Any]

_DISTINCT = frozenset({"bool", "int", "uint", "double", "string", "bytes", "list", "map", "type"})


def is_sensible(name: str, types: list[CelType]) -> bool:
    """Whether an operator that takes anything can mean something: apples equal no pears, and `in` needs a container."""
    if name == "@in":
        return types[1].name in ("list", "map", "object", "dyn")
    if name not in ("_==_", "_!=_"):
        return True
    left, right = (each.name for each in types)
    return left == right or not {left, right} <= _DISTINCT or {left, right} <= NUMBERS


def call(name: str, overloads: list[Overload], runs: list[Run]) -> Run:
    """The closure of a call: the overload is chosen by the values' types, as far as it is not known."""
    first = overloads[0]
    if len(overloads) == 1 and first.takes_anything:
        call = first.function
        if first.is_charged:
            return lambda frame: call(frame[0], *[run(frame) for run in runs])
        return lambda frame: call(*[run(frame) for run in runs])
    chosen: dict[tuple[type, ...], Overload] = {}  # by the classes of the values seen so far; there are few

    def choose(values: list[Any], classes: tuple[type, ...]) -> Overload:
        names = [type_name(value) for value in values]
        for each in overloads:
            if each.takes(names):
                chosen[classes] = each
                return each
        raise CelError(f"no such overload: {name}({', '.join(names)})")

    def run_any(frame: Frame) -> Any:
        values = [run(frame) for run in runs]
        classes = tuple(map(type, values))
        found = chosen.get(classes) or choose(values, classes)
        return found.function(frame[0], *values) if found.is_charged else found.function(*values)

    return run_any
