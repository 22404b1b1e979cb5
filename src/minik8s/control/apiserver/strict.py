"""Strict decoding: whether a tree has the types of its kind and no field beyond them.

Two ways to the same verdict. `conforms` asks msgspec, in microseconds, with variants of the models in which every field
is optional and unknown ones are refused (what must be there is validation's business, which answers 422). Only if it
says no, `walk` goes through the tree and tells each fault in the words of Go's decoder, which clients show.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Annotated, Any

import msgspec
from lightkube.models.apiextensions_v1 import JSONSchemaProps

from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.shapes import Shape, fields_of, go_type

_RANGES = {"int32": 1 << 31, "int64": 1 << 63}
_TYPES: dict[str, Any] = {
    "string": str,
    "bytes": str,
    "bool": bool,
    "number": float,
    "quantity": str | int | float,
    "time": Annotated[datetime, msgspec.Meta(tz=True)],
    "microtime": Annotated[datetime, msgspec.Meta(tz=True)],
    "int-or-string": int | str,
    "any": Any,
    **{form: Annotated[int, msgspec.Meta(ge=-limit, le=limit - 1)] for form, limit in _RANGES.items()},
}
_ZEROS = {"string": "", "bytes": "", "bool": False, "quantity": "0", "int-or-string": 0, "int32": 0, "int64": 0}


class Repeated(dict):
    """An object in which names came twice; the last value counts. `names` are those names."""

    names: tuple[str, ...] = ()


class TypeMismatch(ValueError):
    """A value that Go could not decode into its field; the message is Go's."""


@dataclass(slots=True)
class Findings:
    """What a walk found and left out: unknown and repeated fields, in the order of the document."""

    faults: list[str] = field(default_factory=list)


def conforms(tree: Document, model: type[msgspec.Struct]) -> bool:
    """Whether msgspec can decode the tree strictly."""
    try:
        msgspec.convert(tree, _variant(model))
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


@cache
def _variant(model: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields = [(f"f{index}", _type(f.shape) | None, None) for index, f in enumerate(fields_of(model).values())]
    names = {f"f{index}": name for index, name in enumerate(fields_of(model))}
    return msgspec.defstruct(model.__name__, fields, rename=names, forbid_unknown_fields=True, gc=False)


def _type(shape: Shape) -> Any:
    if shape.model is JSONSchemaProps:
        return type(None)  # A schema holds schemas: it is left to `walk`.
    if shape.model:
        return _variant(shape.model)
    if shape.item:
        item = _type(shape.item)
        return list[item] if shape.form == "list" else dict[str, item]  # type: ignore[valid-type]  # built at run time
    return _TYPES[shape.form]


def walk(tree: Document, model: type[msgspec.Struct], findings: Findings) -> Document:
    """A copy of the tree with known fields only. Raises TypeMismatch for the first wrong type."""
    return _Walk(findings).object(tree, model, "", "")


class _Walk:
    """Carries the findings through the recursion. `path` has list indices, `fields` has not: as Go's two messages."""

    def __init__(self, findings: Findings) -> None:
        self._faults = findings.faults

    def object(self, node: Document, model: type[msgspec.Struct], path: str, fields: str) -> Document:
        known = fields_of(model)
        repeated = node.names if isinstance(node, Repeated) else ()
        clean = {}
        for name, value in node.items():
            here, place = f"{path}.{name}".lstrip("."), f"{fields}.{name}".lstrip(".")
            if name in repeated:
                self._faults.append(f'duplicate field "{here}"')
            if name not in known:
                self._faults.append(f'unknown field "{here}"')
            elif value is not None:
                clean[name] = self.value(value, known[name].shape, here, place, model.__name__)
        return clean

    def value(self, node: Any, shape: Shape, path: str, fields: str, owner: str) -> Any:
        if node is None:
            return _zero(shape)
        match shape.form:
            case "object" if isinstance(node, dict):
                assert shape.model
                return self.object(node, shape.model, path, fields)
            case "list" if isinstance(node, list):
                assert shape.item
                item = shape.item
                return [self.value(value, item, f"{path}[{i}]", fields, owner) for i, value in enumerate(node)]
            case "map" if isinstance(node, dict):
                assert shape.item
                if isinstance(node, Repeated):
                    self._faults += [f'duplicate field "{path}.{name}"' for name in node.names]
                item = shape.item
                return {
                    name: self.value(value, item, f"{path}.{name}", fields, owner)
                    for name, value in node.items()
                    if value is not None
                }
            case "schema":
                assert shape.model
                return self.object(node, shape.model, path, fields) if isinstance(node, dict) else node
            case "any":
                return node
        if not _fits(node, shape.form):
            raise TypeMismatch(_mismatch(node, shape, fields, owner))
        return node


def _fits(node: Any, form: str) -> bool:
    if form not in _TYPES:
        return False  # An object, a list or a map in the model, but something else here.
    try:
        msgspec.convert(node, _TYPES[form])
    except msgspec.ValidationError:
        return False
    return True


def _mismatch(node: Any, shape: Shape, fields: str, owner: str) -> str:
    if shape.form in ("time", "microtime") and isinstance(node, str):
        layout = "2006-01-02T15:04:05Z07:00"
        return f'parsing time "{node}" as "{layout}": cannot parse "{node}" as "2006"'
    if shape.form in _RANGES and isinstance(node, int | float) and not isinstance(node, bool):
        return f"json: cannot unmarshal number {node} into Go struct field {owner}.{fields} of type {shape.form}"
    what = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}.get(type(node), "object")
    return f"json: cannot unmarshal {what} into Go struct field {owner}.{fields} of type {go_type(shape)}"


def _zero(shape: Shape) -> Any:
    """What Go makes of null in a list."""
    return [] if shape.form == "list" else _ZEROS.get(shape.form, {})
