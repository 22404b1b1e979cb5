"""The topology of built-in kinds: the models of lightkube, read by the marks of the API types. Pure.

Called by `managedfields` and `apply`. Built on first use and kept: a process pays for the kinds that are written.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from lightkube.models.meta_v1 import ObjectMeta

from minik8s.control.apiserver import topology_facts as facts
from minik8s.control.apiserver.canonical import canonicalize
from minik8s.control.apiserver.merge_facts import RULES
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.shapes import Shape, fields_of
from minik8s.control.apiserver.topology import DEDUCED, Fields, Items, Leaf, Node, root

_FORMS = {
    "string": "string",
    "time": "string",
    "microtime": "string",
    "bytes": "string",
    "bool": "boolean",
    "int32": "numeric",
    "int64": "numeric",
    "number": "numeric",
}


@cache
def topology_of(model: type[msgspec.Struct]) -> Fields:
    """The topology of a kind, given its model."""
    return root(lambda: _names(model), object_of(ObjectMeta))


@cache
def beginning_of(kind: str, model: type[msgspec.Struct]) -> Document:
    """What an object of the kind is before anybody has written it: Go's zero value. Not to be changed."""
    document: Document = {"metadata": {}}
    known = fields_of(model)
    for part in ("spec", "status"):
        if part in known and known[part].shape.form == "object":
            document[part] = {}
    for path in facts.ALWAYS.get(kind, ()):
        _make(document, path.split("."), model)
    canonicalize(document, model)
    return document


def _make(document: Document, path: list[str], model: type[msgspec.Struct]) -> None:
    node: Any = document
    for step in path:
        if step not in fields_of(model):
            return  # Another version of the kind spells it otherwise.
        node = node.setdefault(step, {})
        model = fields_of(model)[step].shape.model or model


def _full_name(model: type[msgspec.Struct]) -> str:
    return f"{model.__module__.rpartition('.')[2]}.{model.__name__}"


def _names(model: type[msgspec.Struct]) -> Mapping[str, Node]:
    owner = _full_name(model)
    return {name: _node(each.shape, f"{owner}.{name}") for name, each in fields_of(model).items()}


@cache
def object_of(model: type[msgspec.Struct]) -> Leaf | Fields:
    """The topology of an object within a kind."""
    return Leaf("map") if _full_name(model) in facts.ATOMIC else Fields(lambda: _names(model))


def _node(shape: Shape, place: str) -> Node:
    match shape.form:
        case "object":
            assert shape.model
            model = shape.model
            return Fields(lambda: _names(model)) if place in facts.GRANULAR else object_of(model)
        case "map":
            assert shape.item
            return Leaf("map") if place in facts.ATOMIC else Fields(dict, _node(shape.item, ""))
        case "list":
            return _list(shape, place)
        case "any":
            return DEDUCED
    return Leaf(_FORMS.get(shape.form, "scalar"))


def _list(shape: Shape, place: str) -> Node:
    assert shape.item
    rule = RULES.get(place)
    keys = facts.KEYS.get(place)
    if keys is None and rule and rule.merge and rule.key:
        keys = (rule.key,)
    if keys:
        return Items(_node(shape.item, ""), keys, facts.KEY_DEFAULTS)
    is_set = place in facts.SETS or (rule is not None and rule.merge and keys is None)
    return Items(_node(shape.item, "")) if is_set else Leaf("list")
