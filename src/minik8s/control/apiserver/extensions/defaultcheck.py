"""Defaults of a schema must themselves be valid: without unknown fields, and as the schema says. Pure.

Called by `schemacheck` for a schema that is structural. As apiextensions-apiserver schema/defaulting ValidateDefaults.
"""

import copy

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import forbidden, invalid
from minik8s.control.apiserver.extensions import defaulting, pruning, validation
from minik8s.control.apiserver.extensions.structural import OBJECT_META, Node


def check_defaults(node: Node, path: str) -> list[Cause]:
    """Causes for the defaults of a schema; `path` leads to it."""
    return _check(node, path, is_resource=True)


def _check(node: Node, path: str, *, is_resource: bool) -> list[Cause]:
    found: list[Cause] = []
    if node.has_default:
        found += _default(node, f"{path}.default")
    for name, child in node.properties.items():
        here = f"{path}.properties[{name}]"
        if is_resource and name in OBJECT_META:
            if any(each.has_default for each in child.nodes()):
                found.append(forbidden(f"{here}.default", "must not be set in metadata, kind and apiVersion"))
            continue
        found += _check(child, here, is_resource=child.is_resource)
    for keyword, inner in (("items", node.items), ("additionalProperties", node.additional)):
        if inner is not None:
            found += _check(inner, f"{path}.{keyword}", is_resource=inner.is_resource)
    return found


def _default(node: Node, path: str) -> list[Cause]:
    value = copy.deepcopy(node.default)
    try:
        pruned = pruning.prune_value(value, node)
    except ValueError as error:
        return [invalid(path, value, str(error))]
    if pruned != value:
        return [invalid(path, value, "must not have unknown fields")]
    holder = {"value": value}
    defaulting.default(holder, Node({}, properties={"value": node}))
    filled = holder["value"]
    return validation.validate(filled, node, path) + validation.validate_lists(filled, node, path)
