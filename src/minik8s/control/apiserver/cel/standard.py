"""The operators and functions of the language itself: arithmetic, comparison, size, conversions. Pure."""

import operator
from collections.abc import Callable
from typing import Any

from minik8s.control.apiserver.cel import times
from minik8s.control.apiserver.cel.errors import Budget, CelError
from minik8s.control.apiserver.cel.functions import Overload, function, method
from minik8s.control.apiserver.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
)
from minik8s.control.apiserver.cel.values import (
    Duration,
    Timestamp,
    TypeValue,
    UInt,
    contains,
    equal,
    integer,
    type_name,
    unsigned,
)

TIMESTAMP_NAME, DURATION_NAME = TIMESTAMP.name, DURATION.name
_COMPARED = ("bool", "string", "bytes", TIMESTAMP_NAME, DURATION_NAME)
_NUMBERS = ("int", "uint", "double")


def _divide(left: int, right: int) -> int:
    """Towards zero, as Go."""
    if right == 0:
        raise CelError("division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _modulo(left: int, right: int) -> int:
    if right == 0:
        raise CelError("modulus by zero")
    return left - right * _divide(left, right)


def _divide_double(left: float, right: float) -> float:
    if right:
        return left / right
    return float("nan") if left == 0 or left != left else float("inf") * (1 if left > 0 else -1)


def _add_text(budget: Budget, left: Any, right: Any) -> Any:
    budget.spend((len(left) + len(right)) // 10)
    return left + right


def _add_lists(budget: Budget, left: Any, right: Any) -> list[Any]:
    budget.spend(len(left) + len(right))
    return [*left, *right]


def _arithmetic() -> list[Overload]:
    signed = {
        "_+_": operator.add,
        "_-_": operator.sub,
        "_*_": operator.mul,
        "_/_": _divide,
        "_%_": _modulo,
    }
    found = []
    for name, call in signed.items():
        found.append(function(name, "int int", INT, _checked(call, integer)))
        found.append(function(name, "uint uint", UINT, _checked(call, unsigned)))
        if name != "_%_":
            double = _divide_double if name == "_/_" else call
            found.append(function(name, "double double", DOUBLE, double))
    found += [
        function("_+_", "string string", STRING, _add_text, charged=True),
        function("_+_", "bytes bytes", BYTES, _add_text, charged=True),
        function("_+_", "list list", CelType("list"), _add_lists, charged=True),
        function("_+_", f"{TIMESTAMP_NAME} {DURATION_NAME}", TIMESTAMP, lambda a, b: times.moment(a.ns + b.ns)),
        function("_+_", f"{DURATION_NAME} {TIMESTAMP_NAME}", TIMESTAMP, lambda a, b: times.moment(a.ns + b.ns)),
        function("_+_", f"{DURATION_NAME} {DURATION_NAME}", DURATION, lambda a, b: times.span(a.ns + b.ns)),
        function("_-_", f"{TIMESTAMP_NAME} {TIMESTAMP_NAME}", DURATION, lambda a, b: times.span(a.ns - b.ns)),
        function("_-_", f"{TIMESTAMP_NAME} {DURATION_NAME}", TIMESTAMP, lambda a, b: times.moment(a.ns - b.ns)),
        function("_-_", f"{DURATION_NAME} {DURATION_NAME}", DURATION, lambda a, b: times.span(a.ns - b.ns)),
        function("-_", "int", INT, lambda a: integer(-a)),
        function("-_", "double", DOUBLE, operator.neg),
        function("!_", "bool", BOOL, operator.not_),
    ]
    return found


def _checked(call: Callable[[int, int], int], check: Callable[[int], int]) -> Callable[[int, int], int]:
    return lambda left, right: check(call(left, right))


def _comparison() -> list[Overload]:
    found = [
        function("_==_", "dyn dyn", BOOL, lambda budget, a, b: equal(a, b, budget), charged=True),
        function("_!=_", "dyn dyn", BOOL, lambda budget, a, b: not equal(a, b, budget), charged=True),
        function("@in", "dyn dyn", BOOL, lambda budget, a, b: contains(b, a, budget), charged=True),
    ]
    orders = {"_<_": operator.lt, "_<=_": operator.le, "_>_": operator.gt, "_>=_": operator.ge}
    for name, call in orders.items():
        found += [function(name, f"{a} {b}", BOOL, call) for a in _NUMBERS for b in _NUMBERS]
        found += [function(name, f"{kind} {kind}", BOOL, call) for kind in _COMPARED]
    return found


def _to_int(value: Any) -> int:
    match value:
        case float():
            if not -(2.0**63) < value < 2.0**63:
                raise CelError("integer overflow")
            return int(value)
        case str():
            return integer(_parsed(value, int))
        case Timestamp(ns=ns):
            return ns // 10**9
        case Duration(ns=ns):
            return integer(ns)
    return integer(int(value))


def _to_uint(value: Any) -> UInt:
    if isinstance(value, float) and not 0 <= value < 2.0**64:
        raise CelError("unsigned integer overflow")
    return unsigned(_parsed(value, int) if isinstance(value, str) else int(value))


def _to_double(value: Any) -> float:
    return _parsed(value, float) if isinstance(value, str) else float(value)


def _parsed(text: str, kind: Callable[[str], Any]) -> Any:
    if len(text) > 400 or "_" in text or text != text.strip():
        raise CelError(f"type conversion error from 'string' to '{kind.__name__}'")
    try:
        return kind(text)
    except ValueError:
        raise CelError(f"strconv: parsing {text!r}: invalid syntax") from None


def _to_bool(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise CelError("type conversion error from 'string' to 'bool'")


def shown_double(value: float) -> str:
    """A double as Go's strconv shows it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    return text if "e" not in text else text.replace("e-0", "e-").replace("e+0", "e+")


def to_string(value: Any) -> str:
    """The function `string`. Raises CelError."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(int(value))
        case float():
            return shown_double(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise CelError("invalid UTF-8 in bytes, cannot convert to string") from None
        case Timestamp():
            return times.show_moment(value)
        case Duration():
            return times.show_span(value)
    raise CelError(f"no such overload: string({type_name(value)})")


def _size(value: Any) -> int:
    return len(value)


def _conversions() -> list[Overload]:
    found = [function("int", each, INT, _to_int) for each in (*_NUMBERS, "string", TIMESTAMP_NAME, DURATION_NAME)]
    found += [function("uint", each, UINT, _to_uint) for each in (*_NUMBERS, "string")]
    found += [function("double", each, DOUBLE, _to_double) for each in (*_NUMBERS, "string")]
    shown = (*_NUMBERS, "string", "bytes", "bool", TIMESTAMP_NAME, DURATION_NAME)
    found += [function("string", each, STRING, to_string) for each in shown]
    found += [
        function("bool", "bool", BOOL, bool),
        function("bool", "string", BOOL, _to_bool),
        function("bytes", "bytes", BYTES, bytes),
        function("bytes", "string", BYTES, lambda text: text.encode(errors="replace")),
        function("timestamp", "string", TIMESTAMP, times.parse_moment),
        function("timestamp", "int", TIMESTAMP, lambda seconds: times.moment(seconds * 10**9)),
        function("timestamp", TIMESTAMP_NAME, TIMESTAMP, lambda moment: moment),
        function("duration", "string", DURATION, times.parse_span),
        function("duration", "int", DURATION, lambda seconds: times.span(seconds * 10**9)),
        function("duration", DURATION_NAME, DURATION, lambda span: span),
        function("dyn", "dyn", DYN, lambda value: value),
        function("type", "dyn", CelType("type"), lambda value: TypeValue(type_name(value))),
    ]
    for kind in ("string", "bytes", "list", "map"):
        found += [function("size", kind, INT, _size), method("size", kind, INT, _size)]
    return found


STANDARD = (*_arithmetic(), *_comparison(), *_conversions())
