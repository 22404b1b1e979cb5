"""Canonical forms: documents are stored as Go's types would re-encode them.

Values that have several spellings get one: quantities (`1000m` → `1`), times (UTC, whole seconds). Scalars and lists
that the API always has are there, if only as zeros: readers that decode into typed models rely on it. Runs on documents
whose types are right; what is malformed raises ValueError with upstream's words. Only the branches of a kind that need
it are visited.
"""

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from minik8s.api import quantity
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.shapes import Shape, fields_of

_FORMS = frozenset({"quantity", "time", "microtime", "bytes"})
# What Go writes for a field that is not left out when empty; objects and times have no such value of their own.
_ZEROS: dict[str, Callable[[], Any]] = {
    "string": str,
    "int32": int,
    "int64": int,
    "int-or-string": int,
    "bool": bool,
    "list": list,
}


@dataclass(frozen=True, slots=True)
class _Branch:
    """A field to visit. `zero` makes the value it has when it is absent; None leaves it absent."""

    name: str
    shape: Shape
    leads_on: bool
    zero: Callable[[], Any] | None


def canonicalize(document: Document, model: type[msgspec.Struct]) -> None:
    """Rewrite a document of the model in place."""
    for branch in _branches(model):
        if branch.name not in document:
            if branch.zero:
                document[branch.name] = branch.zero()
        elif branch.leads_on:
            document[branch.name] = _value(document[branch.name], branch.shape)


@cache
def _branches(model: type[msgspec.Struct]) -> tuple[_Branch, ...]:
    branches = (
        _Branch(f.name, f.shape, _leads_on(f.shape, (model,)), _ZEROS.get(f.shape.form) if f.required else None)
        for f in fields_of(model).values()
    )
    return tuple(branch for branch in branches if branch.leads_on or branch.zero)


def _leads_on(shape: Shape, above: tuple[type, ...]) -> bool:
    """Whether there is anything to rewrite at or below a value."""
    if shape.item:
        return _leads_on(shape.item, above)
    if not shape.model:
        return shape.form in _FORMS
    if shape.model in above:
        return False
    return any(
        (f.required and f.shape.form in _ZEROS) or _leads_on(f.shape, (*above, shape.model))
        for f in fields_of(shape.model).values()
    )


def _value(value: Any, shape: Shape) -> Any:
    match shape.form:
        case "object":
            assert shape.model
            canonicalize(value, shape.model)
            return value
        case "list":
            assert shape.item
            return [_value(item, shape.item) for item in value]
        case "map":
            assert shape.item
            return {key: _value(item, shape.item) for key, item in value.items()}
        case "quantity":
            return quantity.canonical(_number(value))
        case "time":
            return value if len(value) == 20 and value[-1] == "Z" else _utc(value).isoformat("T", "seconds") + "Z"
        case "microtime":
            return value if len(value) == 27 and value[-1] == "Z" else _utc(value).isoformat("T", "microseconds") + "Z"
        case "bytes":
            return _base64(value)
    raise AssertionError(f"a branch without a form to rewrite: {shape}")


def _number(value: str | float) -> str:
    """A quantity may be a bare number in JSON."""
    return value.strip() if isinstance(value, str) else str(value)


def _utc(value: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)


def _base64(value: str) -> str:
    try:
        binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("illegal base64 data at input byte 0") from None
    return value
