"""Trees into programs: each node becomes a closure over a frame. Pure.

A frame is a list: the Budget, the bindings in the order of their declaration, then the variables of macros. A closure
takes the frame and returns the value or raises CelError. Straight code costs what it is long; what can repeat (macros)
or grow (strings, lists) pays from the Budget while it runs.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from minik8s.control.apiserver.cel import nodes
from minik8s.control.apiserver.cel.access import element, element_optional, select, select_optional, unescaped
from minik8s.control.apiserver.cel.dispatch import Frame, Run, call, is_sensible
from minik8s.control.apiserver.cel.errors import Aborted, CelError, located
from minik8s.control.apiserver.cel.functions import Overload
from minik8s.control.apiserver.cel.nodes import Invoke, Literal, Logic, Name, Node, Select
from minik8s.control.apiserver.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    NULL,
    STRING,
    UINT,
    CelType,
    join,
    list_of,
    map_of,
)
from minik8s.control.apiserver.cel.values import (
    Message,
    Optional,
    TypeValue,
    UInt,
    is_key,
    type_name,
)

_LITERALS = {bool: BOOL, int: INT, UInt: UINT, float: DOUBLE, str: STRING, bytes: BYTES, type(None): NULL}
_TYPE_NAMES = ("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type")
MISSING = object()


class Code(NamedTuple):
    """A compiled node."""

    run: Run
    type: CelType
    cost: int = 1


class Compiler:
    """One expression."""

    def __init__(self, source: str, declarations: Mapping[str, CelType], functions: Mapping[str, tuple[Overload, ...]]):
        self.source = source
        self.size = 1 + len(declarations)  # of the frame
        self._functions = functions
        self._scope: dict[str, tuple[int, CelType]] = {
            name: (index, kind) for index, (name, kind) in enumerate(declarations.items(), 1)
        }

    def compile(self, node: Node) -> Code:
        """The code of a node. Raises CelError."""
        match node:
            case Literal(value=value):
                return Code(lambda frame: value, _LITERALS[type(value)])
            case Name():
                return self._name(node)
            case Select():
                return self._select(node)
            case nodes.Index():
                return self._index(node)
            case Invoke():
                from minik8s.control.apiserver.cel import macros  # They compile bodies: each needs the other.

                return macros.expand(self, node) or self._invoke(node)
            case Logic():
                return self._logic(node)
            case nodes.Choice():
                return self._choice(node)
            case nodes.MakeList():
                return self._list(node)
            case nodes.MakeMap():
                return self._map(node)
            case nodes.MakeMessage():
                return self._message(node)
        raise AssertionError(node)

    def fault(self, node: Node, message: str) -> CelError:
        """A fault of compilation."""
        return located(self.source, node.position, message)

    def declare(self, name: str, kind: CelType) -> tuple[int, tuple[int, CelType] | None]:
        """Bring a variable of a macro into scope: its slot, and what `restore` needs."""
        shadowed = self._scope.get(name)
        slot, self.size = self.size, self.size + 1
        self._scope[name] = (slot, kind)
        return slot, shadowed

    def restore(self, name: str, shadowed: tuple[int, CelType] | None) -> None:
        """End the scope of a variable."""
        del self._scope[name]
        if shadowed:
            self._scope[name] = shadowed

    def is_variable(self, name: str) -> bool:
        """Whether the name is in scope."""
        return name in self._scope

    def _name(self, node: Name) -> Code:
        name = node.name
        if found := self._scope.get(name):
            slot, kind = found

            def run(frame: Frame) -> Any:
                value = frame[slot]
                if value is MISSING:
                    raise CelError(f"no such attribute(s): {name}")
                return value

            return Code(run, kind)
        if name in _TYPE_NAMES:
            value = TypeValue(name)
            return Code(lambda frame: value, CelType("type"))
        raise self.fault(node, f"undeclared reference to '{name}' (in container '')")

    def _select(self, node: Select) -> Code:
        qualified = nodes.qualified(node)
        if qualified in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
            value = TypeValue(qualified)
            return Code(lambda frame: value, CelType("type"))
        operand = self.compile(node.operand)
        kind = self.field_type(node, operand.type, node.field)
        run, field, plain = operand.run, node.field, unescaped(node.field)
        if node.is_optional:
            return Code(lambda frame: select_optional(run(frame), field, plain), CelType("optional_type"))

        def get(frame: Frame) -> Any:
            value = run(frame)
            if type(value) is dict:
                if field in value:
                    return value[field]
                if plain in value:
                    return value[plain]
                raise CelError(f"no such key: {field}")
            return select(value, field, plain)

        return Code(get, kind, operand.cost + 1)

    def field_type(self, node: Node, kind: CelType, field: str) -> CelType:
        """The type of a field. Raises CelError if there is none."""
        if kind.fields is not None:
            found = kind.fields.get(field) or kind.fields.get(unescaped(field))
            if found is None:
                raise self.fault(node, f"undefined field '{field}'")
            return found
        if kind.name == "map":
            return kind.element or DYN
        if kind.name in ("dyn", "object", "optional_type"):
            return DYN
        raise self.fault(node, f"type '{kind}' does not support field selection")

    def _index(self, node: nodes.Index) -> Code:
        operand, index = self.compile(node.operand), self.compile(node.index)
        if operand.type.name not in ("list", "map", "object", "dyn", "optional_type"):
            raise self.fault(node, f"found no matching overload for '_[_]' applied to '({operand.type}, {index.type})'")
        run, at, cost = operand.run, index.run, operand.cost + index.cost + 1
        if node.is_optional:
            return Code(lambda frame: element_optional(run(frame), at(frame)), CelType("optional_type"), cost)
        return Code(lambda frame: element(run(frame), at(frame)), operand.type.element or DYN, cost)

    def _invoke(self, node: Invoke) -> Code:
        name, arguments = node.function, [self.compile(argument) for argument in node.arguments]
        is_method = node.target is not None
        if node.target is not None:
            space = nodes.qualified(node.target)
            if space and not self.is_variable(space.partition(".")[0]) and f"{space}.{name}" in self._functions:
                name, is_method = f"{space}.{name}", False
            else:
                arguments.insert(0, self.compile(node.target))
        known = self._functions.get(name)
        if known is None:
            raise self.fault(node, f"undeclared reference to '{name}' (in container '')")
        types = [argument.type for argument in arguments]
        fitting = [each for each in known if each.fits(types, is_method)]
        if not fitting or not is_sensible(name, types):
            shown = ", ".join(map(str, types))
            shown = f"{types[0]}.({', '.join(map(str, types[1:]))})" if is_method else f"({shown})"
            raise self.fault(node, f"found no matching overload for '{name}' applied to '{shown}'")
        result = fitting[0].result
        for each in fitting[1:]:
            result = join(result, each.result)
        if name == "_+_" and types[0].name == "list" and types[0] == types[1]:
            result = types[0]
        cost = 1 + sum(argument.cost for argument in arguments)
        return Code(call(name, fitting, [argument.run for argument in arguments]), result, cost)

    def _logic(self, node: Logic) -> Code:
        codes = [self.compile(operand) for operand in node.operands]
        for code in codes:
            if code.type.name not in ("bool", "dyn"):
                shown = ", ".join(str(each.type) for each in codes[:2])
                raise self.fault(node, f"found no matching overload for '_{node.operator}_' applied to '({shown})'")
        runs, deciding = [code.run for code in codes], node.operator == "||"

        def run(frame: Frame) -> bool:
            """One operand that decides forgives the failures of the others, in any order."""
            failure: CelError | None = None
            for each in runs:
                try:
                    value = each(frame)
                except Aborted:
                    raise
                except CelError as error:
                    failure = failure or error
                    continue
                if value is deciding:
                    return deciding
                if type(value) is not bool:
                    failure = failure or CelError("no such overload")
            if failure:
                raise failure
            return not deciding

        return Code(run, BOOL, 1 + sum(code.cost for code in codes))

    def _choice(self, node: nodes.Choice) -> Code:
        condition, yes, no = (self.compile(each) for each in (node.condition, node.yes, node.no))
        if condition.type.name not in ("bool", "dyn"):
            shown = f"({condition.type}, {yes.type}, {no.type})"
            raise self.fault(node, f"found no matching overload for '_?_:_' applied to '{shown}'")
        test, if_yes, if_no = condition.run, yes.run, no.run

        def run(frame: Frame) -> Any:
            value = test(frame)
            if type(value) is not bool:
                raise CelError("no such overload")
            return if_yes(frame) if value else if_no(frame)

        return Code(run, join(yes.type, no.type), 1 + condition.cost + max(yes.cost, no.cost))

    def _list(self, node: nodes.MakeList) -> Code:
        items = [(self.compile(item), is_optional) for item, is_optional in node.items]
        kind = _common([DYN if is_optional else item.type for item, is_optional in items])
        runs = [(item.run, is_optional) for item, is_optional in items]

        def run(frame: Frame) -> list[Any]:
            made = []
            for each, is_optional in runs:
                value = each(frame)
                if not is_optional:
                    made.append(value)
                elif _is_there(value):
                    made.append(value.value)
            return made

        return Code(run, list_of(kind), 1 + sum(item.cost for item, _ in items))

    def _map(self, node: nodes.MakeMap) -> Code:
        entries = [(self.compile(key), self.compile(value), flag) for key, value, flag in node.entries]
        kind = _common([DYN if flag else value.type for _, value, flag in entries])
        runs = [(key.run, value.run, flag) for key, value, flag in entries]

        def run(frame: Frame) -> dict[Any, Any]:
            made: dict[Any, Any] = {}
            for get_key, get_value, is_optional in runs:
                key, value = get_key(frame), get_value(frame)
                if is_optional and not _is_there(value):
                    continue
                if not is_key(key) or isinstance(key, float):
                    raise CelError(f"unsupported key type: {type_name(key)}")
                if key in made:
                    raise CelError(f"Failed with repeated key: {key}")
                made[key] = value.value if is_optional else value
            return made

        return Code(run, map_of(kind), 1 + sum(key.cost + value.cost for key, value, _ in entries))

    def _message(self, node: nodes.MakeMessage) -> Code:
        """Objects of the apply configurations and patches of mutating policies; nothing else has a constructor."""
        if node.type_name != "JSONPatch" and node.type_name.partition(".")[0] != "Object":
            raise self.fault(node, f"undeclared reference to '{node.type_name}' (in container '')")
        entries = [(name, self.compile(value), flag) for name, value, flag in node.entries]
        runs = [(unescaped(name), value.run, flag) for name, value, flag in entries]

        def run(frame: Frame) -> Message:
            made = Message()
            for name, get, is_optional in runs:
                value = get(frame)
                if not is_optional:
                    made[name] = value
                elif _is_there(value):
                    made[name] = value.value
            return made

        return Code(run, CelType("object"), 1 + sum(value.cost for _, value, _ in entries))


def _common(types: list[CelType]) -> CelType:
    return types[0] if types and all(each == types[0] for each in types) else DYN


def _is_there(value: Any) -> bool:
    if not isinstance(value, Optional):
        raise CelError("no such overload")
    return value.is_present
