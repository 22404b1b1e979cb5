"""The topology of custom kinds: their structural schema, read by its x-kubernetes-list-type and -map-type. Pure.

Called by `ownership`. Lists without a type are owned as a whole; what has no schema is granular in its maps.
"""

from collections.abc import Mapping
from typing import Any

from lightkube.models.meta_v1 import ObjectMeta

from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.topology import DEDUCED, Fields, Items, Leaf, Node, root
from minik8s.control.apiserver.topology_builtin import object_of

_KEPT_MAX = 256
_FORMS = {"string": "string", "boolean": "boolean", "integer": "numeric", "number": "numeric"}
# By the schema's identity; the schema is kept with it, so that no other one takes its place.
_kept: dict[int, tuple[Document, Fields]] = {}


def topology_of(schema: Document) -> Fields:
    """The topology of objects with this schema; made once."""
    found = _kept.get(id(schema))
    if found is None:
        if len(_kept) >= _KEPT_MAX:
            _kept.clear()
        found = _kept[id(schema)] = (schema, _root(schema))
    return found[1]


def _root(schema: Document) -> Fields:
    return root(lambda: _with_identity(schema), object_of(ObjectMeta), _rest(schema))


def _with_identity(schema: Document) -> Mapping[str, Node]:
    metadata: Node = object_of(ObjectMeta)
    return {**_names(schema), "apiVersion": Leaf("string"), "kind": Leaf("string"), "metadata": metadata}


def _names(schema: Document) -> Mapping[str, Node]:
    return {name: _node(below) for name, below in (schema.get("properties") or {}).items()}


def _rest(schema: Document) -> Node | None:
    more: Any = schema.get("additionalProperties")
    if isinstance(more, dict):
        return _node(more)
    return DEDUCED if more is True or schema.get("x-kubernetes-preserve-unknown-fields") else None


def _node(schema: Document) -> Node:
    if schema.get("x-kubernetes-int-or-string"):
        return Leaf("scalar")
    match schema.get("type"):
        case "object":
            if schema.get("x-kubernetes-map-type") == "atomic":
                return Leaf("map")
            if schema.get("x-kubernetes-embedded-resource"):
                return Fields(lambda: _with_identity(schema), _rest(schema))
            return Fields(lambda: _names(schema), _rest(schema))
        case "array":
            return _list(schema)
        case str() as form:
            return Leaf(_FORMS.get(form, "scalar"))
    return DEDUCED


def _list(schema: Document) -> Node:
    item = schema.get("items") or {}
    match schema.get("x-kubernetes-list-type"):
        case "map":
            keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
            known = item.get("properties") or {}
            defaults = {key: known[key]["default"] for key in keys if "default" in (known.get(key) or {})}
            return Items(_node(item), keys, defaults)
        case "set":
            return Items(_node(item))
    return Leaf("list")
