"""Custom objects as values of CEL: escaped names, moments, spans and bytes where the schema says so. Pure.

As k8s.io/apiserver/pkg/cel/common: a place sees what its schema names; of metadata only name and generateName.
"""

import base64
import binascii
import re
from functools import lru_cache
from typing import Any

from minik8s.control.apiserver.cel.errors import CelError
from minik8s.control.apiserver.cel.times import parse_moment, parse_span
from minik8s.control.apiserver.extensions.structural import OBJECT_META, Node

_WORDS = "as break const continue else false for function if import in let loop namespace null package return true var"
_RESERVED = frozenset([*_WORDS.split(), "void", "while"])
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_ESCAPED = re.compile(r"__|[./-]")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@lru_cache(maxsize=4096)
def escaped(name: str) -> str | None:
    """How an expression spells a property; None if it cannot."""
    if name in _RESERVED:
        return f"__{name}__"
    text = _ESCAPED.sub(lambda match: _ESCAPES[match[0]], name)
    return text if _IDENTIFIER.fullmatch(text) else None


def value_of(value: Any, node: Node, *, is_resource: bool = False) -> Any:
    """The value an expression sees. What is not as its format says is seen as it is."""
    if isinstance(value, dict):
        return _object(value, node, is_resource=is_resource or node.is_resource)
    if isinstance(value, list):
        items = node.items
        return value if items is None else [value_of(item, items) for item in value]
    if isinstance(value, str) and node.type == "string" and "format" in node.schema:
        return _formatted(value, node.schema["format"])
    if node.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if node.type == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _object(value: dict[str, Any], node: Node, *, is_resource: bool) -> dict[str, Any]:
    if node.additional is not None:
        return {name: value_of(item, node.additional) for name, item in value.items()}
    if not node.properties and not is_resource:
        return value
    seen = {}
    for name, item in value.items():
        if is_resource and name in OBJECT_META:
            seen[name] = _metadata(item) if name == "metadata" else item
        elif name in node.properties and (spelt := escaped(name)):
            seen[spelt] = value_of(item, node.properties[name])
    return seen


def _metadata(metadata: Any) -> Any:
    if not isinstance(metadata, dict):
        return metadata
    return {name: metadata[name] for name in ("name", "generateName") if name in metadata}


def _formatted(text: str, name: str) -> Any:
    try:
        match name:
            case "date":
                return parse_moment(f"{text}T00:00:00Z")
            case "date-time" | "datetime":
                return parse_moment(text)
            case "duration":
                return parse_span(text)
            case "byte":
                return base64.b64decode(text, validate=True)
    except (CelError, binascii.Error, ValueError):
        return text  # Validation has said so already.
    return text
