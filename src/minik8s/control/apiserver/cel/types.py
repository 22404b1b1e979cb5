"""What is known of an expression's type before it runs. Pure.

Not a full checker: what is not known is `dyn`, and passes. What is known and cannot work is refused when a rule is
written, not when an object comes: misspelt fields, wrong numbers and types of arguments, results that are no bool.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CelType:
    """A type. `element` is that of a list's elements or a map's values; `fields` those of an object, if known."""

    name: str
    element: "CelType | None" = None
    fields: Mapping[str, "CelType"] | None = None

    def accepts(self, other: "CelType") -> bool:
        """Whether a value of the other type can stand where this one is wanted, as far as is known."""
        if "dyn" in (self.name, other.name) or self.name == other.name:
            return True
        return {self.name, other.name} == {"map", "object"}

    def __str__(self) -> str:
        if self.name == "list":
            return f"list({self.element or DYN})"
        if self.name == "map":
            return f"map(string, {self.element or DYN})"
        return self.name


DYN = CelType("dyn")
BOOL = CelType("bool")
INT = CelType("int")
UINT = CelType("uint")
DOUBLE = CelType("double")
STRING = CelType("string")
BYTES = CelType("bytes")
NULL = CelType("null_type")
LIST = CelType("list")
MAP = CelType("map")
TIMESTAMP = CelType("google.protobuf.Timestamp")
DURATION = CelType("google.protobuf.Duration")


def list_of(element: CelType) -> CelType:
    """A list of such elements."""
    return CelType("list", element)


def map_of(element: CelType) -> CelType:
    """A map of such values."""
    return CelType("map", element)


def join(left: CelType, right: CelType) -> CelType:
    """The type of what is one or the other."""
    return left if left == right else DYN
