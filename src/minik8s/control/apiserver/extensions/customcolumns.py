"""Tables of custom objects: the columns a definition asks for, or their age. Pure.

As k8s.io/apiextensions-apiserver's tableconvertor: a cell that cannot be had, or is of another type, is null.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from minik8s.control.apiserver.duration import since
from minik8s.control.apiserver.extensions import jsonpath
from minik8s.control.apiserver.resource import Column, Document
from minik8s.control.apiserver.resources.columns import NAME

_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
_AGE_TEXT = "How long ago the server created the object."


def columns_of(asked: Sequence[Document]) -> tuple[Column, ...]:
    """The columns of a version that asks for these."""
    columns = [
        Column(
            each["name"],
            each["type"],
            each.get("format", ""),
            each.get("priority", 0),
            each.get("description")
            or (_AGE_TEXT if each is _AGE else f"Custom resource definition column: {each['jsonPath']}"),
        )
        for each in asked or [_AGE]
    ]
    return (NAME, *columns)


def row_of(asked: Sequence[Document]) -> Callable[[Document, float], Sequence[Any]]:
    """What makes the cells of an object."""
    wanted = [(each["type"], each["jsonPath"]) for each in asked or [_AGE]]

    def row(document: Document, now_s: float) -> Sequence[Any]:
        return [document["metadata"]["name"], *(_cell(document, *each, now_s) for each in wanted)]

    return row


def _cell(document: Document, type_: str, path: str, now_s: float) -> Any:
    found = jsonpath.find(document, path)
    if not found or found[0] is None:
        return None
    value = found[0]
    match type_:
        case "string":
            return _text(value)
        case "integer":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return int(value) if is_number and abs(value) < 1 << 63 else None
        case "number":
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return _age(value, now_s)
    return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _age(value: Any, now_s: float) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return since(value, now_s)
    except (ValueError, OverflowError):
        return "<invalid>"
