"""Defaults of custom objects: what the schema says of absent fields is filled in, in place. Pure and idempotent.

As k8s.io/apiextensions-apiserver schema/defaulting: a null that is not allowed but has a default counts as absent; an
absent object is not made up to hold the defaults of its fields.
"""

import copy
from typing import Any

from minik8s.control.apiserver.extensions.structural import OBJECT_META, Node
from minik8s.control.apiserver.resource import Document


def default(document: Document, node: Node) -> None:
    """Fill in the defaults of an object. The server's own fields have none."""
    _object(document, node, is_resource=True)


def _value(value: Any, node: Node) -> None:
    if isinstance(value, dict):
        _object(value, node, is_resource=node.is_resource)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            if item is None and node.items.has_default and not node.items.is_nullable:
                value[index] = copy.deepcopy(node.items.default)
            else:
                _value(item, node.items)


def _object(value: Document, node: Node, *, is_resource: bool) -> None:
    for name, child in node.properties.items():
        if is_resource and name in OBJECT_META:
            continue
        if child.has_default and (name not in value or (value[name] is None and not child.is_nullable)):
            value[name] = copy.deepcopy(child.default)
    for name, item in value.items():
        if is_resource and name in OBJECT_META:
            continue
        if (place := node.child(name)) is not None:
            _value(item, place)
