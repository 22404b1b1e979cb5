"""Canonical forms: values that have several spellings are stored in one, as Go's types re-encode them.

Quantities (`1000m` → `1`), times (UTC, whole seconds) and base64. Runs on documents whose types are right; what is
malformed raises ValueError with upstream's words. Only the branches of a kind that hold such values are visited.
"""

import binascii
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from minik8s.api import quantity
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.shapes import Shape, fields_of

_FORMS = frozenset({"quantity", "time", "microtime", "bytes"})


def canonicalize(document: Document, model: type[msgspec.Struct]) -> None:
    """Rewrite a document of the model in place."""
    for name, shape in _branches(model):
        if name in document:
            document[name] = _value(document[name], shape)


@cache
def _branches(model: type[msgspec.Struct]) -> tuple[tuple[str, Shape], ...]:
    return tuple((f.name, f.shape) for f in fields_of(model).values() if _leads_somewhere(f.shape, (model,)))


def _leads_somewhere(shape: Shape, above: tuple[type, ...]) -> bool:
    if shape.item:
        return _leads_somewhere(shape.item, above)
    if shape.model:
        model = shape.model
        return model not in above and any(_leads_somewhere(f.shape, (*above, model)) for f in fields_of(model).values())
    return shape.form in _FORMS


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
