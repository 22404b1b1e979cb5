"""Expressions as trees: the nodes. Pure; made by `syntax`, read by `compiler` and `macros`."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression, and where it is."""

    position: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A value as written."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    """`operand.field`, `operand.?field`."""

    operand: Node
    field: str
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`operand[index]`, `operand[?index]`."""

    operand: Node
    index: Node
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Invoke(Node):
    """A function, a method of `target`, or an operator by its inner name (`_+_`)."""

    function: str
    target: Node | None
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`&&` or `||` of two or more."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice(Node):
    """`condition ? yes : no`."""

    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class MakeList(Node):
    """`[a, ?b]`: (node, whether optional)."""

    items: tuple[tuple[Node, bool], ...]


@dataclass(frozen=True, slots=True)
class MakeMap(Node):
    """`{k: v, ?k: v}`: (key, value, whether optional)."""

    entries: tuple[tuple[Node, Node, bool], ...]


@dataclass(frozen=True, slots=True)
class MakeMessage(Node):
    """`Type{field: value}`."""

    type_name: str
    entries: tuple[tuple[str, Node, bool], ...]


def qualified(node: Node) -> str | None:
    """`a.b.c` as a name, if the node is nothing else."""
    parts = []
    while isinstance(node, Select) and not node.is_optional:
        parts.append(node.field)
        node = node.operand
    return ".".join((node.name, *reversed(parts))) if isinstance(node, Name) else None
