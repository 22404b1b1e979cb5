"""Validation of custom objects by their schema: types, bounds, patterns, choices; and the uniqueness of lists. Pure.

As k8s.io/kube-openapi/pkg/validation as apiextensions-apiserver uses it, with its messages, which clients show: the
path, `in body`, and what should be. Metadata is checked with every object's (`metadata`), rules by `rules`.
"""

import json
import math
from typing import Any

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import duplicate, invalid, not_supported, required, too_long, too_many
from minik8s.control.apiserver.extensions.formats import has_format
from minik8s.control.apiserver.extensions.patterns import compiled
from minik8s.control.apiserver.extensions.structural import Node
from minik8s.control.apiserver.resource import Document

_JUNCTORS = ("allOf", "anyOf", "oneOf", "not")
_INT_RANGES = {"int32": 1 << 31, "int64": 1 << 63}


def validate(value: Any, node: Node, path: str = "") -> list[Cause]:
    """Causes for a value and all below it."""
    return _schema(value, node.schema, path)


def validate_lists(value: Any, node: Node, path: str = "") -> list[Cause]:
    """Causes for what comes twice in lists that are sets or maps."""
    found: list[Cause] = []
    if isinstance(value, dict):
        for name, item in value.items():
            if (child := node.child(name)) is not None:
                found += validate_lists(item, child, _joined(path, name))
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            found += validate_lists(item, node.items, f"{path}[{index}]")
        if node.list_type in ("set", "map"):
            found += _duplicates(value, node, path)
    return found


def _duplicates(items: list[Any], node: Node, path: str) -> list[Cause]:
    found, seen, told = [], set(), set()
    for index, item in enumerate(items):
        if node.list_type == "map":
            if not isinstance(item, dict):
                continue
            item = {key: _key_value(item, node, key) for key in node.list_keys}
        text = json.dumps(item, sort_keys=True)
        if text in seen and text not in told:
            told.add(text)
            found.append(duplicate(f"{path}[{index}]", item))
        seen.add(text)
    return found


def _key_value(item: Document, node: Node, key: str) -> Any:
    child = node.items.properties.get(key) if node.items else None
    return item.get(key, child.default if child and child.has_default else None)


def _schema(value: Any, schema: Document, path: str) -> list[Cause]:
    if value is None:
        return _null(schema, path)
    found = _type(value, schema, path)
    if any(name in schema for name in _JUNCTORS):
        found += _junctors(value, schema, path)
    if isinstance(value, str):
        found += _string(value, schema, path)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, int | float):
        found += _number(value, schema, path)
    elif isinstance(value, list):
        found += _list(value, schema, path)
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        found.append(_choice(value, schema["enum"], path))
    if isinstance(value, dict):
        found += _object(value, schema, path)
    return found


def _null(schema: Document, path: str) -> list[Cause]:
    if schema.get("nullable") or not (schema.get("type") or schema.get("x-kubernetes-int-or-string")):
        return []
    return [_wrong_type(schema, "null", path)]


def _type(value: Any, schema: Document, path: str) -> list[Cause]:
    if schema.get("x-kubernetes-int-or-string"):
        is_right = isinstance(value, str) or _is_integer(value)
    else:
        match schema.get("type"):
            case "object":
                is_right = isinstance(value, dict)
            case "array":
                is_right = isinstance(value, list)
            case "string":
                is_right = isinstance(value, str)
            case "boolean":
                is_right = isinstance(value, bool)
            case "integer":
                is_right = _is_integer(value)
            case "number":
                is_right = isinstance(value, int | float) and not isinstance(value, bool)
            case _:
                is_right = True
    return [] if is_right else [_wrong_type(schema, type_name(value), path)]


def _wrong_type(schema: Document, given: str, path: str) -> Cause:
    wanted = "integer,string" if schema.get("x-kubernetes-int-or-string") else schema.get("type", "")
    message = f"{_body(path)} must be of type {wanted}: {_quoted(given)}"
    return Cause("FieldValueTypeInvalid", f"Invalid value: {_quoted(given)}: {message}", path or "<nil>")


def _junctors(value: Any, schema: Document, path: str) -> list[Cause]:
    found: list[Cause] = []
    name = _quoted(path)
    if choices := schema.get("anyOf"):
        tries = [_schema(value, each, path) for each in choices]
        if all(tries):
            found += [_nowhere(f"{name} must validate at least one schema (anyOf)"), *min(tries, key=len)]
    if choices := schema.get("oneOf"):
        tries = [_schema(value, each, path) for each in choices]
        valid = sum(not each for each in tries)
        if valid == 0:
            message = f"{name} must validate one and only one schema (oneOf). Found none valid"
            found += [_nowhere(message), *min(tries, key=len)]
        elif valid > 1:
            message = f"{name} must validate one and only one schema (oneOf). Found {valid} valid alternatives"
            found.append(_nowhere(message))
    if choices := schema.get("allOf"):
        tries = [_schema(value, each, path) for each in choices]
        if any(tries):
            why = ". None validated" if all(tries) else ""
            found += [
                _nowhere(f"{name} must validate all the schemas (allOf){why}"),
                *(cause for each in tries for cause in each),
            ]
    if isinstance(schema.get("not"), dict) and not _schema(value, schema["not"], path):
        found.append(_nowhere(f"{name} must not validate the schema (not)"))
    return found


def _nowhere(message: str) -> Cause:
    """As upstream: what is wrong with a combination has no field."""
    return invalid("<nil>", "", message)


def _string(value: str, schema: Document, path: str) -> list[Cause]:
    found = []
    if (limit := schema.get("maxLength")) is not None and len(value) > limit:
        found.append(too_long(path, int(limit)))
    if (limit := schema.get("minLength")) is not None and len(value) < limit:
        found.append(invalid(path, value, f"{_body(path)} should be at least {int(limit)} chars long"))
    if (pattern := schema.get("pattern")) and not compiled(pattern).search(value):
        found.append(invalid(path, value, f"{_body(path)} should match '{pattern}'"))
    if (name := schema.get("format")) and not has_format(value, name):
        message = f"{_body(path)} must be of type {name}: {_quoted(value)}"
        found.append(Cause("FieldValueTypeInvalid", f"Invalid value: {_quoted(value)}: {message}", path))
    return found


def _number(value: float, schema: Document, path: str) -> list[Cause]:
    found = []
    if (limit := schema.get("maximum")) is not None and (
        value > limit or (value == limit and schema.get("exclusiveMaximum"))
    ):
        how = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        found.append(invalid(path, value, f"{_body(path)} should be {how} {go_number(limit)}"))
    if (limit := schema.get("minimum")) is not None and (
        value < limit or (value == limit and schema.get("exclusiveMinimum"))
    ):
        how = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        found.append(invalid(path, value, f"{_body(path)} should be {how} {go_number(limit)}"))
    if (factor := schema.get("multipleOf")) and not _is_multiple(value, factor):
        found.append(invalid(path, value, f"{_body(path)} should be a multiple of {go_number(factor)}"))
    limit = _INT_RANGES.get(schema.get("format", ""))
    if limit and schema.get("type") == "integer" and not -limit <= value < limit:
        message = f"{_body(path)} must be of type {schema['format']}: {_quoted(type_name(value))}"
        found.append(Cause("FieldValueTypeInvalid", f"Invalid value: {json.dumps(value)}: {message}", path))
    return found


def _list(value: list[Any], schema: Document, path: str) -> list[Cause]:
    found: list[Cause] = []
    if isinstance(items := schema.get("items"), dict):
        for index, item in enumerate(value):
            found += _schema(item, items, f"{path}[{index}]")
    if (limit := schema.get("minItems")) is not None and len(value) < limit:
        found.append(invalid(path, len(value), f"{_body(path)} should have at least {int(limit)} items"))
    if (limit := schema.get("maxItems")) is not None and len(value) > limit:
        found.append(too_many(path, len(value), int(limit)))
    return found


def _object(value: Document, schema: Document, path: str) -> list[Cause]:
    found: list[Cause] = []
    if (limit := schema.get("minProperties")) is not None and len(value) < limit:
        found.append(invalid(path, len(value), f"{_body(path)} should have at least {int(limit)} properties"))
    if (limit := schema.get("maxProperties")) is not None and len(value) > limit:
        found.append(too_many(path, len(value), int(limit)))
    found += [required(_joined(path, name)) for name in schema.get("required") or () if name not in value]
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    for name, item in value.items():
        if name in properties:
            found += _schema(item, properties[name], _joined(path, name))
        elif isinstance(additional, dict):
            found += _schema(item, additional, _joined(path, name))
    return found


def _choice(value: Any, choices: list[Any], path: str) -> Cause:
    shown = [each if isinstance(each, str) else json.dumps(each, separators=(",", ":")) for each in choices]
    return not_supported(path, value, shown)


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _is_integer(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _is_multiple(value: float, factor: float) -> bool:
    try:
        quotient = value / factor
    except (ZeroDivisionError, OverflowError):
        return False
    return math.isfinite(quotient) and quotient == int(quotient)


def type_name(value: Any) -> str:
    """JSON's name of a value's type."""
    if isinstance(value, float):
        return "number"
    names = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def go_number(value: float) -> str:
    """A bound as it is printed: 1 rather than 1.0."""
    return str(int(value)) if value == int(value) else repr(value)


def _body(path: str) -> str:
    return f"{path} in body" if path else " in body"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
