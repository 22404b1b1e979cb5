"""Macros: calls whose arguments are not values but bodies, run once per element. Pure; called by `compiler`.

has, all, exists, existsOne, map, filter (one variable, or two: index and value, key and value), transformList,
transformMap, transformMapEntry, cel.bind, optMap, optFlatMap. Each turn pays what its body costs.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from minik8s.control.apiserver.cel.access import has_field, unescaped
from minik8s.control.apiserver.cel.dispatch import Frame, Run
from minik8s.control.apiserver.cel.errors import Aborted, CelError
from minik8s.control.apiserver.cel.nodes import Invoke, Name, Node, Select
from minik8s.control.apiserver.cel.types import BOOL, DYN, INT, STRING, CelType, list_of, map_of
from minik8s.control.apiserver.cel.values import NONE, Optional, is_key, type_name

if TYPE_CHECKING:
    from minik8s.control.apiserver.cel.compiler import Code, Compiler

_ONE_NAME = {"all", "exists", "exists_one", "existsOne", "map", "filter"}
_TWO_NAMES = {"all", "exists", "existsOne", "transformList", "transformMap", "transformMapEntry"}


def expand(compiler: "Compiler", node: Invoke) -> "Code | None":
    """The code of a macro; None if the call is none."""
    name, arguments = node.function, node.arguments
    names: tuple[Node, ...]
    bodies: tuple[Node, ...]
    if node.target is None:
        return _has(compiler, node) if name == "has" and len(arguments) == 1 else None
    if name == "bind" and isinstance(node.target, Name) and node.target.name == "cel" and len(arguments) == 3:
        return _bind(compiler, node)
    if name in ("optMap", "optFlatMap") and len(arguments) == 2:
        return _opt_map(compiler, node)
    if (name in _ONE_NAME and len(arguments) == 2) or (name == "map" and len(arguments) == 3):
        names, bodies = arguments[:1], arguments[1:]
    elif name in _TWO_NAMES and len(arguments) in (3, 4):
        names, bodies = arguments[:2], arguments[2:]
        if len(bodies) == 2 and not name.startswith("transform"):
            return None
    else:
        return None
    return _comprehension(compiler, node, names, bodies)


def _has(compiler: "Compiler", node: Invoke) -> "Code":
    from minik8s.control.apiserver.cel.compiler import Code

    field = node.arguments[0]
    if not isinstance(field, Select):
        raise compiler.fault(node, "invalid argument to has() macro")
    operand = compiler.compile(field.operand)
    compiler.field_type(field, operand.type, field.field)
    run, name, plain = operand.run, field.field, unescaped(field.field)
    return Code(lambda frame: has_field(run(frame), name, plain), BOOL, operand.cost + 1)


def _bind(compiler: "Compiler", node: Invoke) -> "Code":
    from minik8s.control.apiserver.cel.compiler import Code

    name = _variable(compiler, node.arguments[0])
    value = compiler.compile(node.arguments[1])
    slot, shadowed = compiler.declare(name, value.type)
    body = compiler.compile(node.arguments[2])
    compiler.restore(name, shadowed)
    get, run = value.run, body.run

    def bound(frame: "Frame") -> Any:
        frame[slot] = get(frame)
        return run(frame)

    return Code(bound, body.type, value.cost + body.cost)


def _opt_map(compiler: "Compiler", node: Invoke) -> "Code":
    from minik8s.control.apiserver.cel.compiler import Code

    assert node.target
    target, name = compiler.compile(node.target), _variable(compiler, node.arguments[0])
    slot, shadowed = compiler.declare(name, DYN)
    body = compiler.compile(node.arguments[1])
    compiler.restore(name, shadowed)
    get, run, is_flat = target.run, body.run, node.function == "optFlatMap"

    def mapped(frame: "Frame") -> Optional:
        value = get(frame)
        if not isinstance(value, Optional):
            raise CelError("no such overload")
        if not value.is_present:
            return NONE
        frame[slot] = value.value
        found = run(frame)
        if not is_flat:
            return Optional(found)
        if not isinstance(found, Optional):
            raise CelError("no such overload")
        return found

    return Code(mapped, CelType("optional_type"), target.cost + body.cost)


def _comprehension(compiler: "Compiler", node: Invoke, names: tuple[Node, ...], bodies: tuple[Node, ...]) -> "Code":
    from minik8s.control.apiserver.cel.compiler import Code

    assert node.target
    source = compiler.compile(node.target)
    if source.type.name not in ("list", "map", "object", "dyn"):
        message = (
            f"expression of type '{source.type}' cannot be range of a comprehension (must be list, map, or dynamic)"
        )
        raise compiler.fault(node, message)
    variables = [_variable(compiler, name) for name in names]
    if len(set(variables)) != len(variables):
        raise compiler.fault(node, "argument must be a simple name")
    types = _variable_types(source.type, len(variables))
    declared = [(name, *compiler.declare(name, kind)) for name, kind in zip(variables, types, strict=True)]
    compiled = [compiler.compile(body) for body in bodies]
    for name, _, shadowed in reversed(declared):
        compiler.restore(name, shadowed)
    is_predicate_first = node.function not in ("map", "transformList", "transformMap", "transformMapEntry")
    if is_predicate_first and compiled[0].type.name not in ("bool", "dyn"):
        message = f"expected type 'bool' but found '{compiled[0].type}'"
        raise compiler.fault(bodies[0], message)
    turns = _turns(source.run, [slot for _, slot, _ in declared], 1 + sum(code.cost for code in compiled))
    predicate = compiled[0].run if is_predicate_first or len(compiled) == 2 else None
    run, kind = _KINDS[node.function](turns, predicate, compiled[-1], source.type)
    return Code(run, kind, source.cost + 1)


def _variable(compiler: "Compiler", node: Node) -> str:
    if not isinstance(node, Name):
        raise compiler.fault(node, "argument must be a simple name")
    return node.name


def _variable_types(source: CelType, count: int) -> list[CelType]:
    element = source.element or DYN
    if source.name == "list":
        return [element] if count == 1 else [INT, element]
    if source.name == "map":
        return [STRING if source.element else DYN] if count == 1 else [DYN, element]
    return [DYN] * count


_Turns = Callable[["Frame"], Iterator[Any]]


def _turns(source: "Run", slots: list[int], cost: int) -> _Turns:
    """Sets the variables to each element in turn, and gives the first of them."""

    def one(frame: "Frame") -> Iterator[Any]:
        values, budget, slot = source(frame), frame[0], slots[0]
        if not isinstance(values, list | tuple | Mapping):
            raise CelError(f"no such overload: {type_name(values)} is not a list or map")
        for value in values:
            budget.spend(cost)
            frame[slot] = value
            yield value

    def two(frame: "Frame") -> Iterator[Any]:
        values, budget, (first, second) = source(frame), frame[0], slots
        if isinstance(values, Mapping):
            pairs: Any = values.items()
        elif isinstance(values, list | tuple):
            pairs = enumerate(values)
        else:
            raise CelError(f"no such overload: {type_name(values)} is not a list or map")
        for frame[first], frame[second] in pairs:
            budget.spend(cost)
            yield frame[first]

    return one if len(slots) == 1 else two


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise CelError("no such overload")
    return value


def _quantifier(deciding: bool) -> Callable[..., tuple["Run", CelType]]:
    """all and exists: an element that decides forgives the failures of others."""

    def make(turns: _Turns, predicate: "Run", body: "Code", source: CelType) -> tuple["Run", CelType]:
        def run(frame: "Frame") -> bool:
            failure: CelError | None = None
            for _ in turns(frame):
                try:
                    if _truth(predicate(frame)) is deciding:
                        return deciding
                except Aborted:
                    raise
                except CelError as error:
                    failure = failure or error
            if failure:
                raise failure
            return not deciding

        return run, BOOL

    return make


def _exists_one(turns: _Turns, predicate: "Run", body: "Code", source: CelType) -> tuple["Run", CelType]:
    return lambda frame: sum(_truth(predicate(frame)) for _ in turns(frame)) == 1, BOOL


def _filter(turns: _Turns, predicate: "Run", body: "Code", source: CelType) -> tuple["Run", CelType]:
    kind = source if source.name == "list" else list_of(DYN)
    return lambda frame: [value for value in turns(frame) if _truth(predicate(frame))], kind


def _map(turns: _Turns, predicate: "Run | None", body: "Code", source: CelType) -> tuple["Run", CelType]:
    make, kind = body.run, list_of(body.type)
    if predicate is None:
        return lambda frame: [make(frame) for _ in turns(frame)], kind
    return lambda frame: [make(frame) for _ in turns(frame) if _truth(predicate(frame))], kind


def _transform_map(turns: _Turns, predicate: "Run | None", body: "Code", source: CelType) -> tuple["Run", CelType]:
    make = body.run

    def run(frame: "Frame") -> dict[Any, Any]:
        return {key: make(frame) for key in turns(frame) if predicate is None or _truth(predicate(frame))}

    return run, map_of(body.type)


def _transform_entry(turns: _Turns, predicate: "Run | None", body: "Code", source: CelType) -> tuple["Run", CelType]:
    make = body.run

    def run(frame: "Frame") -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for _ in turns(frame):
            if predicate is not None and not _truth(predicate(frame)):
                continue
            entry = make(frame)
            if not isinstance(entry, Mapping):
                raise CelError("no such overload")
            for key, value in entry.items():
                if not is_key(key) or key in made:
                    raise CelError(f"insert failed: key {key} already exists")
                frame[0].spend(1)
                made[key] = value
        return made

    return run, map_of(DYN)


_KINDS: dict[str, Callable[..., tuple["Run", CelType]]] = {
    "all": _quantifier(False),
    "exists": _quantifier(True),
    "exists_one": _exists_one,
    "existsOne": _exists_one,
    "filter": _filter,
    "map": _map,
    "transformList": _map,
    "transformMap": _transform_map,
    "transformMapEntry": _transform_entry,
}
