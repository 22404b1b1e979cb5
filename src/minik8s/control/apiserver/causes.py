"""Causes: one constructor per way a field can be wrong, with upstream's reasons and wording.

As k8s.io/apimachinery/pkg/util/validation/field. Paths are dotted, with list indices and map keys in brackets.
"""

import json
from collections.abc import Iterable
from typing import Any

from minik8s.api.errors import Cause


def required(path: str, why: str = "") -> Cause:
    """A field that must be there and is not."""
    return Cause("FieldValueRequired", _joined("Required value", why), path)


def invalid(path: str, value: Any, why: str) -> Cause:
    """A value that cannot be."""
    return Cause("FieldValueInvalid", _joined(f"Invalid value: {_shown(value)}", why), path)


def not_supported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    """A value that is none of those there are."""
    listed = ", ".join(json.dumps(item) for item in supported)
    return Cause("FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {listed}", path)


def forbidden(path: str, why: str) -> Cause:
    """A field that must not be set, or not be changed."""
    return Cause("FieldValueForbidden", _joined("Forbidden", why), path)


def duplicate(path: str, value: Any) -> Cause:
    """A value that must be unique and comes again."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {_shown(value)}", path)


def not_found(path: str, value: Any) -> Cause:
    """A reference to what is not there."""
    return Cause("FieldValueNotFound", f"Not found: {_shown(value)}", path)


def too_long(path: str, size_bytes_max: int) -> Cause:
    """Text or data beyond a limit."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {size_bytes_max} bytes", path)


def too_many(path: str, count: int, count_max: int) -> Cause:
    """More items than allowed."""
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {count_max} items", path)


def each_invalid(path: str, value: Any, faults: Iterable[str]) -> list[Cause]:
    """One cause per fault of a value."""
    return [invalid(path, value, fault) for fault in faults]


def immutable(path: str, new: Any, old: Any) -> list[Cause]:
    """A cause if a field changed that may not."""
    return [] if new == old else [invalid(path, new, "field is immutable")]


def one_of(path: str, value: Any, supported: Iterable[str]) -> list[Cause]:
    """A cause if a value is none of those there are."""
    supported = list(supported)
    return [] if value in supported else [not_supported(path, value, sorted(supported))]


def not_negative(path: str, value: int) -> list[Cause]:
    """A cause if a number is below zero."""
    return [invalid(path, value, "must be greater than or equal to 0")] if value < 0 else []


def port_number(path: str, value: int) -> list[Cause]:
    """A cause if a number cannot be a port."""
    return [] if 1 <= value <= 65535 else [invalid(path, value, "must be between 1 and 65535, inclusive")]


def _joined(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def _shown(value: Any) -> str:
    """As Go shows it: text quoted, collections as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
