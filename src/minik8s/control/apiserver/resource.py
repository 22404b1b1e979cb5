"""A resource: everything the apiserver knows of one kind, as a value.

Routes, discovery, OpenAPI, tables, storage keys and the write path are all driven by it, so that a built-in kind is
one file below `resources/`, and a custom one is the same value built from a CustomResourceDefinition by `extensions`.
Documents are dict trees; hooks change them in place and never do IO.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minik8s.api.errors import Cause

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table kubectl prints. Priority 1 is shown by `-o wide` only."""

    name: str
    type: str = "string"  # string, integer, date, …
    format: str = ""
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something only one object may hold: an address, a port.

    A write commits the object and its claims in one transaction, so two apiservers never hand out the same one, and
    a claim never outlives its object.
    """

    name: str  # unique in the cluster: "serviceips/10.96.0.1", "servicenodeports/30001"
    taken: Cause  # what a client that asked for it is told when another object holds it


def _no_claims(document: Document) -> Sequence[Claim]:
    return ()


def _nothing(*documents: Document) -> None:
    """The hook of a kind that has nothing to do here."""


def _no_causes(*documents: Document) -> list[Cause]:
    """The validation of a kind that has no rules of its own."""
    return []


def _no_fields(document: Document) -> dict[str, str]:
    return {}


def _name_only(document: Document, now_s: float) -> list[Any]:
    return [document["metadata"]["name"]]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind in one version. Hooks see documents after decoding and before commit, in this order.

    create: `prepare_create` (drop what clients may not set: status, …) → `default` → admission → `validate`.
    update: `default` → `prepare_update` (carry over from the old object) → admission → `validate`, `validate_update`.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    model: type[msgspec.Struct]  # field names and types, for strict decoding and OpenAPI
    # Below /registry/: "pods", "services/specs", "minions" for nodes: as upstream's keys. Empty: objects of the kind
    # are questions that are answered (`handler.Api.answers`), and never stored.
    storage_prefix: str
    singular: str = ""  # lower-case kind if empty
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()  # "status", "scale", "log", "binding", …
    columns: tuple[Column, ...] = (Column("Name", format="name"),)
    row: Callable[[Document, float], Sequence[Any]] = _name_only  # cells, given the time in seconds
    default: Callable[[Document], None] = _nothing
    prepare_create: Callable[[Document], None] = _nothing
    prepare_update: Callable[[Document, Document], None] = _nothing  # (new, old)
    validate: Callable[[Document], list[Cause]] = _no_causes
    validate_create: Callable[[Document], list[Cause]] = _no_causes  # what may not be said at first, after `validate`
    validate_update: Callable[[Document, Document], list[Cause]] = _no_causes  # (new, old)
    fields: Callable[[Document], dict[str, str]] = _no_fields  # selectable beyond metadata.name and .namespace
    # What the object holds alone. If admission picked a claim that turns out to be taken, the write runs again from
    # the document before admission; if the client asked for it, the answer is 422 with `taken`.
    claims: Callable[[Document], Sequence[Claim]] = _no_claims
    field_names: tuple[str, ...] = ()  # the keys `fields` returns
    validate_name: Callable[[str], str | None] = field(default=lambda name: None)  # what is wrong with a name
    prepare_delete: Callable[[Document], None] = _nothing  # as its deletion begins: finalizers, conditions
    # Of a version that is not stored: how it is made of the one that is. Its hooks above are then those of that one.
    conversion: "Conversion | None" = None
    custom: "Custom | None" = None  # of a kind that a CustomResourceDefinition defines
    deprecated: str = ""  # the warning with which a built-in version answers that will be gone

    @property
    def deprecation(self) -> str:
        """The warning that every answer about the kind carries; empty if there is none."""
        return self.custom.deprecation if self.custom else self.deprecated

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular_name(self) -> str:
        """`pod`."""
        return self.singular or self.kind.lower()

    @property
    def is_stored(self) -> bool:
        """Whether there are objects of the kind, rather than questions."""
        return bool(self.storage_prefix)

    def has_status(self) -> bool:
        """Whether status is written only through its subresource."""
        return "status" in self.subresources


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a version of a kind is made of the stored one, and that of it. The results may share with the arguments."""

    stored: Resource
    from_stored: Callable[[Document], Document]
    to_stored: Callable[[Document], Document]


@dataclass(frozen=True, slots=True)
class Custom:
    """What a custom kind has instead of a `model`, which then describes its metadata alone.

    All its versions are stored under one prefix, each object in the version that was the storage version when it was
    written. Its hooks see documents of their own version.
    """

    schema: Document  # the structural schema of this version
    # A copy of a document with the fields that the schema knows; appends what it left out to the list, in the words
    # of a strict decoder. Raises ValueError for metadata of wrong types.
    prune: Callable[[Document, list[str]], Document]
    # Documents as stored → of this version, pruned and with defaults; and back. May call a webhook: raises StatusError.
    read: Callable[[Sequence[Document]], Awaitable[list[Document]]]
    write: Callable[[Document], Awaitable[Document]]
    stored_api_version: str  # of what `write` makes
    # Causes for a document, given the one it replaces (None: none). Both are of this version.
    validate: Callable[[Document, Document | None], list[Cause]]
    scale: Document | None = None  # the paths of the subresource scale
    deprecation: str = ""  # the warning with which this version answers
