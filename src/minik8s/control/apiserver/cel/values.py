"""The values of the language, and when two are equal. Pure.

JSON documents are values as they are: int, float, str, bool, None, list and dict stand for int, double, string, bool,
null, list and map, so nothing is converted before an evaluation. What JSON does not have is here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik8s.control.apiserver.cel.errors import Budget, CelError

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1


class UInt(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, in nanoseconds since 1970."""

    ns: int


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A time span in nanoseconds."""

    ns: int


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value: what `type(x)` gives."""

    name: str


class Optional:
    """A value that may be absent."""

    __slots__ = ("is_present", "value")

    def __init__(self, value: Any = None, is_present: bool = True) -> None:
        self.value = value
        self.is_present = is_present


NONE = Optional(None, is_present=False)


class Opaque:
    """A value of a library: an address, a quantity. Subclasses name their type and say when they are equal."""

    __slots__ = ()

    type_name = "opaque"

    def field(self, name: str) -> Any:
        """A field of it; there are none, as a rule. Raises CelError."""
        raise CelError(f"no such field: {name}")


class Message(dict[str, Any]):
    """An object made by naming its type: `Object.spec{…}`."""

    type_name = "object"


_NAMES: dict[type, str] = {
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    type(None): "null_type",
    list: "list",
    tuple: "list",
    dict: "map",
    Message: "map",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
    TypeValue: "type",
    Optional: "optional_type",
}


def type_name(value: Any) -> str:
    """The name of a value's type, as `type()` and the messages of errors say it."""
    if found := _NAMES.get(type(value)):
        return found
    if isinstance(value, Opaque):
        return value.type_name
    if isinstance(value, Mapping):
        return "map"
    if isinstance(value, Sequence):
        return "list"
    raise CelError(f"unsupported value: {type(value).__name__}")


NUMBERS = frozenset({"int", "uint", "double"})


def equal(left: Any, right: Any, budget: Budget) -> bool:
    """Whether two values are the same; of different types they are not, but numbers are compared as numbers."""
    budget.spend(1)
    kind, other = type_name(left), type_name(right)
    if kind in NUMBERS and other in NUMBERS:
        return bool(left == right)
    if kind != other:
        return False
    match kind:
        case "list":
            return len(left) == len(right) and all(equal(a, b, budget) for a, b in zip(left, right, strict=True))
        case "map":
            if len(left) != len(right):
                return False
            return all(key in right and equal(value, right[key], budget) for key, value in left.items())
        case "optional_type":
            if not (left.is_present and right.is_present):
                return left.is_present == right.is_present
            return equal(left.value, right.value, budget)
        case "string" | "bytes":
            budget.spend(len(left) // 10)
    return bool(left == right)


def contains(values: Any, wanted: Any, budget: Budget) -> bool:
    """The operator `in`: an element of a list, a key of a map."""
    if isinstance(values, Mapping):
        return has_key(values, wanted)
    if isinstance(values, list | tuple):
        return any(equal(wanted, value, budget) for value in values)
    raise no_overload("in", wanted, values)


def is_key(value: Any) -> bool:
    """Whether a map can have such a key."""
    return isinstance(value, str | int | float)


def has_key(values: Mapping[Any, Any], key: Any) -> bool:
    """Whether a map has a key; numbers are compared as numbers, and true is no 1."""
    if isinstance(key, str):
        return key in values
    return is_key(key) and any(each == key and isinstance(each, bool) == isinstance(key, bool) for each in values)


def integer(value: int) -> int:
    """`value` if it fits 64 bits. Raises CelError."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise CelError("integer overflow")


def unsigned(value: int) -> UInt:
    """The same of unsigned ones."""
    if 0 <= value <= UINT_MAX:
        return UInt(value)
    raise CelError("unsigned integer overflow")


def no_overload(name: str, *arguments: Any) -> CelError:
    """The failure of an operation that has no meaning for such values."""
    return CelError(f"no such overload: {name}({', '.join(type_name(value) for value in arguments)})")
