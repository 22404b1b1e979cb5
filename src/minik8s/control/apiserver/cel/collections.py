"""Functions of lists, sets and optional values, and Kubernetes' own of lists. Pure."""

from itertools import pairwise
from typing import Any

from minik8s.control.apiserver.cel.errors import Budget, CelError
from minik8s.control.apiserver.cel.functions import function, method
from minik8s.control.apiserver.cel.types import BOOL, DYN, INT, LIST, CelType
from minik8s.control.apiserver.cel.values import NONE, NUMBERS, Duration, Optional, contains, equal, integer, type_name

OPTIONAL = CelType("optional_type")


def _ordered(budget: Budget, values: Any) -> bool:
    budget.spend(len(values))
    return all(not _less(after, before) for before, after in pairwise(values))


def _less(left: Any, right: Any) -> bool:
    kinds = {type_name(left), type_name(right)}
    if (len(kinds) != 1 and not kinds <= NUMBERS) or kinds & {"list", "map", "null_type", "optional_type"}:
        raise CelError("no such overload")
    return bool(left < right)


def _sum(budget: Budget, values: Any) -> Any:
    budget.spend(len(values))
    if not values:
        return 0
    kinds = {type_name(value) for value in values}
    if kinds == {"google.protobuf.Duration"}:
        return Duration(integer(sum(value.ns for value in values)))
    if kinds <= {"int", "uint"}:
        return integer(sum(map(int, values)))
    if kinds <= NUMBERS:
        return float(sum(values))
    raise CelError("no such overload")


def _extreme(budget: Budget, values: Any, name: str) -> Any:
    budget.spend(len(values))
    if not values:
        raise CelError(f"{name} called on empty list")
    found = values[0]
    for value in values[1:]:
        if _less(value, found) if name == "min" else _less(found, value):
            found = value
    return found


def _position(budget: Budget, values: Any, wanted: Any, *, last: bool) -> int:
    places = range(len(values) - 1, -1, -1) if last else range(len(values))
    return next((place for place in places if equal(values[place], wanted, budget)), -1)


def _within(budget: Budget, values: Any, wanted: Any) -> bool:
    """Whether all of `wanted` are among `values`."""
    return all(contains(values, each, budget) for each in wanted)


def _distinct(budget: Budget, values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not contains(found, value, budget):
            found.append(value)
    return found


def _flatten(budget: Budget, values: Any, depth: int = 1) -> list[Any]:
    if depth < 0:
        raise CelError("level must be non-negative")
    found: list[Any] = []
    for value in values:
        budget.spend(1)
        if isinstance(value, list | tuple) and depth > 0:
            found += _flatten(budget, value, depth - 1)
        else:
            found.append(value)
    return found


def _slice(values: Any, start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(values):
        raise CelError(f"cannot slice({start}, {end}), list is of size {len(values)}")
    return list(values[start:end])


def _range(budget: Budget, count: int) -> list[int]:
    budget.spend(max(0, count))
    return list(range(count))


def _value(of: Optional) -> Any:
    if not of.is_present:
        raise CelError("optional.none() dereference")
    return of.value


def _non_zero(value: Any) -> Optional:
    return NONE if value is None or value in (0, "", b"", False) or value == [] or value == {} else Optional(value)


COLLECTIONS = (
    method("isSorted", "list", BOOL, _ordered, charged=True),
    method("sum", "list", DYN, _sum, charged=True),
    method("min", "list", DYN, lambda budget, values: _extreme(budget, values, "min"), charged=True),
    method("max", "list", DYN, lambda budget, values: _extreme(budget, values, "max"), charged=True),
    method("indexOf", "list dyn", INT, lambda b, v, w: _position(b, v, w, last=False), charged=True),
    method("lastIndexOf", "list dyn", INT, lambda b, v, w: _position(b, v, w, last=True), charged=True),
    method("distinct", "list", LIST, _distinct, charged=True),
    method("flatten", "list", LIST, _flatten, charged=True),
    method("flatten", "list int", LIST, _flatten, charged=True),
    method("slice", "list int int", LIST, _slice),
    method("reverse", "list", LIST, lambda values: list(values[::-1])),
    function("lists.range", "int", LIST, _range, charged=True),
    function("sets.contains", "list list", BOOL, _within, charged=True),
    function("sets.intersects", "list list", BOOL, lambda b, x, y: any(contains(x, e, b) for e in y), charged=True),
    function("sets.equivalent", "list list", BOOL, lambda b, x, y: _within(b, x, y) and _within(b, y, x), charged=True),
    function("optional.of", "dyn", OPTIONAL, Optional),
    function("optional.ofNonZeroValue", "dyn", OPTIONAL, _non_zero),
    function("optional.none", "", OPTIONAL, lambda: NONE),
    method("hasValue", "optional_type", BOOL, lambda of: of.is_present),
    method("value", "optional_type", DYN, _value),
    method("or", "optional_type optional_type", OPTIONAL, lambda of, other: of if of.is_present else other),
    method("orValue", "optional_type dyn", DYN, lambda of, other: of.value if of.is_present else other),
)
