"""The whole validation of a custom object: schema, embedded objects, lists, rules. Pure.

Called by the pipeline for every write. As k8s.io/apiextensions-apiserver/pkg/registry/customresource: rules are not
evaluated on what has the wrong shape, which is said; an update is not refused for faults it did not bring in, if the
value that has them is as it was (ratcheting).
"""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import required
from minik8s.control.apiserver.cel.errors import CelError
from minik8s.control.apiserver.extensions import rules, validation
from minik8s.control.apiserver.extensions.structural import Node
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.objectmeta import validate_metadata

_BLOCKING = frozenset(
    ["FieldValueRequired", "FieldValueNotSupported", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"]
)
_NOT_CHECKED = Cause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
    "<nil>",
)
_ABSENT = object()


class Checks:
    """Validation by one schema. Rules are compiled when they are first needed: not while starting."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._has_rules = any(each.rules for each in node.nodes())
        self._place: rules.Place | None = None

    def causes(self, document: Document, old: Document | None) -> list[Cause]:
        """What is wrong with a document that replaces `old`."""
        body = {name: value for name, value in document.items() if name != "metadata"} | {"metadata": {}}
        found = validation.validate(body, _without_metadata(self._node))
        found += _embedded(document, self._node, "")
        lists = validation.validate_lists(document, self._node)
        if lists and old is not None and validation.validate_lists(old, self._node):
            lists = []
        found += lists
        if old is not None:
            found = [cause for cause in found if not _is_as_it_was(cause, document, old)]
        if not self._has_rules:
            return found
        if any(cause.reason in _BLOCKING for cause in found):
            return [*found, _NOT_CHECKED]
        return found + self._rules(document, old)

    def _rules(self, document: Document, old: Document | None) -> list[Cause]:
        if self._place is None:
            try:
                self._place = rules.compile_rules(self._node)
            except CelError as error:
                return [Cause("FieldValueInvalid", f"Invalid value: rule compile error: {error.message}", "<nil>")]
        if self._place is None:
            return []
        return rules.check(self._place, document, old, has_old=old is not None)


def _without_metadata(node: Node) -> Node:
    """Metadata is checked with every object's."""
    properties = node.schema.get("properties") or {}
    if "metadata" not in properties:
        return node
    kept = {name: each for name, each in properties.items() if name != "metadata"}
    return Node(node.schema | {"properties": kept})


def _embedded(value: Any, node: Node, path: str) -> list[Cause]:
    """Of objects inside the object: that they say what they are, and have proper metadata."""
    found: list[Cause] = []
    if isinstance(value, dict):
        if node.is_resource:
            for name in ("apiVersion", "kind"):
                if not value.get(name):
                    found.append(required(f"{path}.{name}", "must not be empty"))
            if isinstance(metadata := value.get("metadata"), dict):
                found += validate_metadata(metadata, f"{path}.metadata", is_builtin=False)
        for name, item in value.items():
            if (child := node.child(name)) is not None:
                found += _embedded(item, child, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            found += _embedded(item, node.items, f"{path}[{index}]")
    return found


def _is_as_it_was(cause: Cause, document: Document, old: Document) -> bool:
    """Whether the value at fault stood there before. Inside lists, which have no names, nothing is let pass."""
    if not cause.field or cause.field == "<nil>" or "[" in cause.field:
        return False
    steps = cause.field.split(".")
    if cause.reason == "FieldValueRequired":
        steps = steps[:-1]
    new_value, old_value = _at(document, steps), _at(old, steps)
    return new_value is not _ABSENT and new_value == old_value and bool(steps)


def _at(node: Any, steps: list[str]) -> Any:
    for step in steps:
        if not isinstance(node, dict) or step not in node:
            return _ABSENT
        node = node[step]
    return node
