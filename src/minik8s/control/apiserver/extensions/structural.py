"""Structural schemas: the JSON schema of a custom kind, as a tree that can be walked beside a document.

Built once per definition by `customkind`; `pruning`, `defaulting`, `validation` and `rules` walk it. What stands in it
was checked by `schemacheck` when the definition was written, so building it does not fail.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from minik8s.control.apiserver.resource import Document

OBJECT_META = ("apiVersion", "kind", "metadata")
"""Of an object these are the server's, whatever the schema says."""


@dataclass(slots=True)
class Node:
    """One place of a document, and what may stand there."""

    schema: Document  # as the definition has it: for validation, which knows more keywords than are named here
    type: str = ""
    properties: Mapping[str, "Node"] = field(default_factory=dict)
    additional: "Node | None" = None  # of each further property
    takes_any: bool = False  # whether further properties are kept though nothing is said of them
    items: "Node | None" = None
    is_resource: bool = False  # an embedded object, with apiVersion, kind and metadata of its own
    is_int_or_string: bool = False
    is_nullable: bool = False
    has_default: bool = False
    list_type: str = "atomic"
    list_keys: tuple[str, ...] = ()
    rules: tuple[Document, ...] = ()  # x-kubernetes-validations

    @property
    def default(self) -> Any:
        """The value of the place when it is absent; only if `has_default`."""
        return self.schema["default"]

    def child(self, name: str) -> "Node | None":
        """The node of a property; None if nothing is said of it."""
        return self.properties.get(name) or self.additional

    def nodes(self) -> Iterator["Node"]:
        """This one and all below it."""
        yield self
        for each in (*self.properties.values(), self.additional, self.items):
            if each is not None:
                yield from each.nodes()


def build(schema: Document) -> Node:
    """The tree of a structural schema."""
    additional = schema.get("additionalProperties")
    items = schema.get("items")
    return Node(
        schema=schema,
        type=schema.get("type", ""),
        properties={name: build(each) for name, each in (schema.get("properties") or {}).items()},
        additional=build(additional) if isinstance(additional, dict) else None,
        takes_any=additional is True or bool(schema.get("x-kubernetes-preserve-unknown-fields")),
        items=build(items) if isinstance(items, dict) else None,
        is_resource=bool(schema.get("x-kubernetes-embedded-resource")),
        is_int_or_string=bool(schema.get("x-kubernetes-int-or-string")),
        is_nullable=bool(schema.get("nullable")),
        has_default="default" in schema,
        list_type=schema.get("x-kubernetes-list-type") or "atomic",
        list_keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
        rules=tuple(schema.get("x-kubernetes-validations") or ()),
    )


def is_true(node: Node, keyword: str) -> bool:
    """Whether a keyword of the schema is set."""
    return bool(node.schema.get(keyword))
