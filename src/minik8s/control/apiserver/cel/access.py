"""Reaching into values: fields, keys, positions, and how properties are spelt that are no identifiers. Pure."""

from collections.abc import Mapping
from typing import Any

from minik8s.control.apiserver.cel.errors import CelError
from minik8s.control.apiserver.cel.syntax import RESERVED
from minik8s.control.apiserver.cel.values import NONE, Opaque, Optional, has_key, type_name

_ESCAPES = (("__dot__", "."), ("__dash__", "-"), ("__slash__", "/"), ("__underscores__", "__"))
_KEYWORDS = RESERVED | {"true", "false", "null", "in"}


def unescaped(field: str) -> str:
    """The property that a field stands for: `__dash__` is a dash, `__namespace__` the word that is reserved."""
    if "__" not in field:
        return field
    if field.startswith("__") and field.endswith("__") and field[2:-2] in _KEYWORDS:
        return field[2:-2]
    for escape, plain in _ESCAPES:
        field = field.replace(escape, plain)
    return field


def select(value: Any, field: str, plain: str) -> Any:
    """A field of what is no plain dict."""
    if isinstance(value, Optional):
        return select_optional(value, field, plain)
    if isinstance(value, Mapping):
        for name in (field, plain):
            if name in value:
                return value[name]
        raise CelError(f"no such key: {field}")
    if isinstance(value, Opaque):
        return value.field(field)
    raise CelError(f"type '{type_name(value)}' does not support field selection")


def select_optional(value: Any, field: str, plain: str) -> Optional:
    """`value.?field`."""
    if isinstance(value, Optional):
        if not value.is_present:
            return NONE
        value = value.value
    if not isinstance(value, Mapping):
        raise CelError(f"type '{type_name(value)}' does not support field selection")
    for name in (field, plain):
        if name in value:
            return Optional(value[name])
    return NONE


def has_field(value: Any, field: str, plain: str) -> bool:
    """The macro `has`."""
    return select_optional(value, field, plain).is_present


def element(value: Any, index: Any) -> Any:
    """`value[index]`."""
    if isinstance(value, Optional):
        return element_optional(value, index)
    if isinstance(value, Mapping):
        if has_key(value, index):
            return value[index]
        raise CelError(f"no such key: {index}")
    if isinstance(value, list | tuple):
        at = _position(index)
        if 0 <= at < len(value):
            return value[at]
        raise CelError(f"index out of bounds: {at}")
    raise CelError(f"no such overload: _[_]({type_name(value)}, {type_name(index)})")


def element_optional(value: Any, index: Any) -> Optional:
    """`value[?index]`."""
    if isinstance(value, Optional):
        if not value.is_present:
            return NONE
        value = value.value
    if isinstance(value, Mapping):
        return Optional(value[index]) if has_key(value, index) else NONE
    if isinstance(value, list | tuple):
        at = _position(index)
        return Optional(value[at]) if 0 <= at < len(value) else NONE
    raise CelError(f"no such overload: _[?_]({type_name(value)}, {type_name(index)})")


def _position(index: Any) -> int:
    if type_name(index) not in ("int", "uint", "double") or index != index // 1:
        raise CelError(f"unsupported index type '{type_name(index)}' in list")
    return int(index)
