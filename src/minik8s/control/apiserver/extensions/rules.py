"""Rules of custom objects: x-kubernetes-validations, evaluated beside the schema. Pure.

Called by `customkind` for writes, by `rulecheck` when a definition is written. As apiextensions-apiserver schema/cel:
a rule sees its place as `self`, and what was there as `oldSelf`, if the same place can be told in the old object (not
in lists without keys). All rules of one object share one budget of steps, so that no object stops the server.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minik8s.api.errors import Cause
from minik8s.control.apiserver import cel
from minik8s.control.apiserver.causes import duplicate, forbidden, invalid, required
from minik8s.control.apiserver.cel import types
from minik8s.control.apiserver.cel.errors import Budget, CelError, CostExceeded
from minik8s.control.apiserver.cel.types import DYN, CelType
from minik8s.control.apiserver.cel.values import NONE, Optional
from minik8s.control.apiserver.extensions.celvalues import escaped, value_of
from minik8s.control.apiserver.extensions.structural import Node
from minik8s.control.apiserver.resource import Document

MESSAGE_CHARS_MAX = 5 * 1024
_OLD_SELF = re.compile(r"\boldSelf\b")
_TEXTS = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_FORMATS = {
    "date": types.TIMESTAMP,
    "date-time": types.TIMESTAMP,
    "datetime": types.TIMESTAMP,
    "duration": types.DURATION,
    "byte": types.BYTES,
}
_SCALARS = {"string": types.STRING, "integer": types.INT, "number": types.DOUBLE, "boolean": types.BOOL}
_META = CelType("object", fields={"name": types.STRING, "generateName": types.STRING})
_RESOURCE_FIELDS = {"apiVersion": types.STRING, "kind": types.STRING, "metadata": _META}


@dataclass(slots=True)
class Rule:
    """One rule, compiled."""

    given: Document
    program: cel.Program
    message: cel.Program | None
    uses_old: bool

    @property
    def text(self) -> str:
        """How messages name it."""
        text: str = self.given.get("message") or self.given["rule"]
        return text.strip()


@dataclass(slots=True)
class Place:
    """A node of the schema with its rules, if there are any here or below."""

    node: Node
    is_resource: bool
    rules: tuple[Rule, ...]
    properties: Mapping[str, "Place"]
    additional: "Place | None"
    items: "Place | None"


def compile_rules(node: Node, *, is_resource: bool = True) -> Place | None:
    """The rules of a schema that was accepted; None if it has none. Raises CelError."""
    properties = {
        name: place
        for name, each in node.properties.items()
        if (place := compile_rules(each, is_resource=each.is_resource))
    }
    inner = [
        compile_rules(each, is_resource=each.is_resource) if each else None for each in (node.additional, node.items)
    ]
    rules = tuple(compile_rule(each, node, is_resource=is_resource) for each in node.rules if each.get("rule"))
    if not (rules or properties or any(inner)):
        return None
    return Place(node, is_resource, rules, properties, *inner)


def compile_rule(given: Document, node: Node, *, is_resource: bool) -> Rule:
    """One rule of a place. Raises CelError."""
    kind = type_of(node, is_resource=is_resource)
    old = DYN if given.get("optionalOldSelf") else kind
    declared = {"self": kind, "oldSelf": old}
    text = given.get("messageExpression")
    return Rule(
        given,
        cel.compile(given["rule"], declared),
        cel.compile(text, declared) if text else None,
        uses_old(given["rule"]),
    )


def uses_old(expression: str) -> bool:
    """Whether an expression is about what was before."""
    return _OLD_SELF.search(_TEXTS.sub("''", expression)) is not None


def type_of(node: Node, *, is_resource: bool = False) -> CelType:
    """What expressions may assume of a place."""
    if node.is_int_or_string or node.is_nullable:
        return DYN
    match node.type:
        case "object":
            if node.additional is not None:
                return types.map_of(type_of(node.additional))
            if not node.properties and not is_resource:
                return DYN
            fields = {
                name: type_of(each, is_resource=each.is_resource)
                for own, each in node.properties.items()
                if (name := escaped(own))
            }
            return CelType("object", fields=fields | _RESOURCE_FIELDS if is_resource else fields)
        case "array":
            return types.list_of(type_of(node.items, is_resource=node.items.is_resource) if node.items else DYN)
        case "string":
            return _FORMATS.get(node.schema.get("format", ""), types.STRING)
    return _SCALARS.get(node.type, DYN)


def check(place: Place, value: Any, old: Any, *, has_old: bool) -> list[Cause]:
    """Causes for the rules that do not hold."""
    walk = _Walk(Budget())
    walk.place(place, value, old if has_old else None, "")
    return walk.found


class _Walk:
    """One object's rules: what was found, and the steps that are left."""

    def __init__(self, budget: Budget) -> None:
        self.found: list[Cause] = []
        self._budget = budget
        self._is_over = False

    def place(self, place: Place, value: Any, old: Any, path: str) -> None:
        if value is None or self._is_over:
            return
        if place.rules:
            self._rules(place, value, old, path)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name, item in value.items():
                inner = place.properties.get(name) or (place.additional if name not in place.node.properties else None)
                if inner:
                    self.place(inner, item, before.get(name), f"{path}.{name}" if path else name)
        elif isinstance(value, list) and place.items:
            before_by_key = _by_key(old, place.node) if isinstance(old, list) else {}
            for index, item in enumerate(value):
                self.place(place.items, item, before_by_key.get(_key(item, place.node)), f"{path}[{index}]")

    def _rules(self, place: Place, value: Any, old: Any, path: str) -> None:
        bound = value_of(value, place.node, is_resource=place.is_resource)
        before = None if old is None else value_of(old, place.node, is_resource=place.is_resource)
        for rule in place.rules:
            is_optional = bool(rule.given.get("optionalOldSelf"))
            if rule.uses_old and old is None and not is_optional:
                continue
            bindings = {"self": bound, "oldSelf": before}
            if is_optional:
                bindings["oldSelf"] = NONE if old is None else Optional(before)
            try:
                holds = rule.program.evaluate(bindings, self._budget)
            except CostExceeded:
                why = "validation failed due to running out of cost budget, no further validation rules will be run"
                self.found.append(invalid(path or "<nil>", place.node.type, why))
                self._is_over = True
                return
            except CelError as error:
                why = f"{error.message} evaluating rule: {rule.text}"
                self.found.append(invalid(path or "<nil>", place.node.type, why))
                continue
            if holds is not True:
                self.found.append(self._failure(rule, bindings, place.node, value, path))

    def _failure(self, rule: Rule, bindings: Mapping[str, Any], node: Node, value: Any, path: str) -> Cause:
        detail = self._message(rule, bindings)
        if relative := rule.given.get("fieldPath"):
            path = f"{path}{relative}".removeprefix(".")
        place = path or "<nil>"
        match rule.given.get("reason"):
            case "FieldValueForbidden":
                return forbidden(place, detail)
            case "FieldValueRequired":
                return required(place, detail)
            case "FieldValueDuplicate":
                return duplicate(place, value)
        if node.type in ("object", "array"):
            return Cause("FieldValueInvalid", f"Invalid value: {detail}", place)
        return invalid(place, value, detail)

    def _message(self, rule: Rule, bindings: Mapping[str, Any]) -> str:
        if rule.message is not None:
            try:
                made = rule.message.evaluate(bindings, self._budget)
            except CelError:
                made = None
            if isinstance(made, str) and (text := made.strip()) and "\n" not in text and len(text) <= MESSAGE_CHARS_MAX:
                return text
        given = (rule.given.get("message") or "").strip()
        return given or f"failed rule: {rule.text}"


def _key(item: Any, node: Node) -> str | None:
    """What tells an item of a list with keys from the others; None in lists without."""
    if node.list_type != "map" or not isinstance(item, dict) or node.items is None:
        return None
    return repr([item.get(key) for key in node.list_keys])


def _by_key(items: list[Any], node: Node) -> dict[str | None, Any]:
    found = {_key(item, node): item for item in items}
    found.pop(None, None)
    return found
