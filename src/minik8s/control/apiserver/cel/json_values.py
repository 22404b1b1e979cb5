"""Values as JSON documents: what expressions that make objects and patches come to. Pure."""

import base64
from collections.abc import Mapping
from typing import Any

from minik8s.control.apiserver.cel import times
from minik8s.control.apiserver.cel.errors import Budget, CelError
from minik8s.control.apiserver.cel.values import Duration, Timestamp, UInt, type_name


def to_json(value: Any, budget: Budget) -> Any:
    """A tree of its own that JSON can hold. Raises CelError for what it cannot."""
    budget.spend(1)
    match value:
        case None | bool() | float():
            return value
        case str():
            budget.spend(len(value) // 10)
            return value
        case UInt():
            return int(value)
        case int():
            return value
        case bytes():
            return base64.b64encode(value).decode()
        case Timestamp():
            return times.show_moment(value)
        case Duration():
            return times.show_span(value)
        case Mapping():
            if not all(isinstance(key, str) for key in value):
                raise CelError("the keys of an object must be strings")
            return {key: to_json(each, budget) for key, each in value.items()}
        case list() | tuple():
            return [to_json(each, budget) for each in value]
    raise CelError(f"a value of type {type_name(value)} cannot be part of an object")
