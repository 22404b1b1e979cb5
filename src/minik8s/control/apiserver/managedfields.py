"""metadata.managedFields: who owns which field, kept up to date by every write. Pure.

Called by `pipeline` for creates, updates and patches; `apply` has what server-side apply does besides. An entry stays
the dict it is in the document. A write costs one walk over what it changed; entries it does not touch are not looked
into. As k8s.io/apimachinery/pkg/util/managedfields/internal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minik8s.control.apiserver import fieldset
from minik8s.control.apiserver.fieldset import FieldSet, difference, union, without
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.topology import Comparison, Fields, Unkeyed

UPDATE, APPLY = "Update", "Apply"
UPDATERS_MAX = 10  # as upstream; what older ones own goes to _ANCIENT
_ANCIENT = "ancient-changes"

_encode = msgspec.json.Encoder().encode

Entry = dict[str, Any]
# An object in another version of its kind, by apiVersion, with the topology there; None if that is not served.
Convert = Callable[[Document, str], tuple[Document, Fields] | None]


def _served_in_no_other(document: Document, api_version: str) -> None:
    """The conversion of a kind that has one version."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, and in which terms: the identity of an entry."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""

    def owns(self, entry: Entry) -> bool:
        """Whether an entry is this writer's. Appliers are the same in every version."""
        return (
            entry["manager"] == self.manager
            and entry["operation"] == self.operation
            and entry.get("subresource", "") == self.subresource
            and (self.operation == APPLY or entry["apiVersion"] == self.api_version)
        )

    def entry(self, fields: FieldSet, now: str | None, before: FieldSet | None = None) -> Entry:
        """A new entry; `before` is what its last one had. Upstream dates none that came through `scale`."""
        entry: Entry = {"manager": self.manager, "operation": self.operation, "apiVersion": self.api_version}
        if now and self.subresource != "scale":
            entry["time"] = now
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": fieldset.ordered(fields, before)}
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


@dataclass(frozen=True, slots=True)
class Terms:
    """How a kind is looked at: its topology, what the written part of it cannot change, and its other versions."""

    topology: Fields
    beginning: Document  # what the object is before its first write
    ignored: FieldSet = field(default_factory=dict)  # resetFields, as upstream calls them
    convert: Convert = _served_in_no_other


class Changes:
    """What a write changed, in the terms of each version that an entry speaks."""

    def __init__(self, terms: Terms, old: Document, new: Document, api_version: str) -> None:
        """Raises topology.Unkeyed."""
        self._terms = terms
        self._old = old
        self._new = new
        self.own = self._compare(terms.topology, old, new)
        self._versions: dict[str, Comparison | None] = {api_version: self.own}

    def at(self, api_version: str) -> Comparison | None:
        """The changes in a version's terms; None if the version is not served any more."""
        if api_version not in self._versions:
            old, new = (self._terms.convert(document, api_version) for document in (self._old, self._new))
            if old is None or new is None:
                self._versions[api_version] = None
            elif old[0] is self._old and new[0] is self._new and new[1] is self._terms.topology:
                self._versions[api_version] = self.own
            else:
                self._versions[api_version] = self._compare(new[1], old[0], new[0])
        return self._versions[api_version]

    def _compare(self, topology: Fields, old: Document, new: Document) -> Comparison:
        changes = topology.compare(old, new)
        assert changes is not None
        ignored = self._terms.ignored
        return Comparison(
            without(changes.added, ignored), without(changes.modified, ignored), without(changes.removed, ignored)
        )


def read(given: Any) -> list[Entry] | None:
    """The entries of a document; None if they are missing or not understood, [] if they say `[{}]`: forget all."""
    if given == [{}]:
        return []
    if not given or not isinstance(given, list):
        return None
    for entry in given:
        if not isinstance(entry, dict) or entry.get("operation") not in (UPDATE, APPLY):
            return None
        if not entry.get("apiVersion") or entry.get("fieldsType") != "FieldsV1":
            return None
        if not fieldset.is_sound(entry.get("fieldsV1") or {}):
            return None
    return [{"manager": "unknown", "fieldsV1": {}} | entry for entry in given]


def after_update(
    entries: list[Entry], old: Document | None, new: Document, writer: Writer, terms: Terms, now: str
) -> list[Entry]:
    """The entries after a write that is no apply. `old` is None for a create. An object nobody tracks stays so."""
    try:
        if not entries:  # Nobody tracks it, or it is new.
            taken = {} if old else _fields_of_new(new, terms)
            return [writer.entry(taken, now, taken)] if taken else []
        changes = Changes(terms, terms.beginning if old is None else old, new, writer.api_version)
    except Unkeyed:
        return entries  # As upstream: what cannot be told apart is not tracked.
    if not changes.own:
        return entries
    mine = next((entry for entry in entries if writer.owns(entry)), None)
    others = [entry for entry in entries if entry is not mine]
    taken = union(changes.own.added, changes.own.modified)
    kept: list[Entry] = list(shrunk(others, changes))
    before = mine["fieldsV1"] if mine else {}
    after = union(difference(before, changes.own.removed), taken)
    if after:
        kept.append(writer.entry(after, now if taken or mine is None else mine.get("time"), before))
    return ordered(_capped(kept))


# What the specs of new objects hold, by the spec: many pods are made from one template. The newest last.
_specs: dict[tuple[Fields, bytes], FieldSet | None] = {}
_SPECS_MAX = 32


def _fields_of_new(new: Document, terms: Terms) -> FieldSet:
    """What the writer of a new object owns, in order. Raises Unkeyed."""
    topology, beginning = terms.topology, terms.beginning
    changes = topology.compare(_without_spec(beginning), _without_spec(new))
    assert changes is not None
    fields, ordered_already = union(changes.added, changes.modified), {}
    if "spec" in new:
        key = (topology, _encode(new["spec"]))
        found = _specs.pop(key) if key in _specs else _fields_of_spec(new["spec"], terms)
        _specs[key] = found
        if len(_specs) > _SPECS_MAX:
            del _specs[next(iter(_specs))]
        if found is not None:
            ordered_already = {"f:spec": found}
    return fieldset.ordered(without(fields | ordered_already, terms.ignored), ordered_already)


def _fields_of_spec(spec: Any, terms: Terms) -> FieldSet | None:
    """In order; None if there are none."""
    node = terms.topology.below("spec")
    if "spec" not in terms.beginning:
        return fieldset.ordered(node.everything(spec))
    changes = node.compare(terms.beginning["spec"], spec)
    if changes is None:
        return {}
    return fieldset.ordered(union(changes.added, changes.modified)) or None


def _without_spec(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "spec"}


def shrunk(entries: Sequence[Entry], changes: Changes) -> list[Entry]:
    """Others' entries without what a write changed or removed."""
    kept = []
    for entry in entries:
        at = changes.at(entry["apiVersion"])
        if at is None:
            continue
        rest = difference(entry["fieldsV1"], at.touched)
        if rest:
            kept.append(entry if rest == entry["fieldsV1"] else entry | {"fieldsV1": rest})
    return kept


def ordered(entries: list[Entry]) -> list[Entry]:
    """The entries as upstream orders them."""
    if len(entries) < 2:
        return entries
    return sorted(
        entries,
        key=lambda entry: (
            entry["operation"],
            entry.get("time") or "",
            entry["manager"],
            entry["apiVersion"],
            entry.get("subresource", ""),
        ),
    )


def _capped(entries: list[Entry]) -> list[Entry]:
    """The entries with the oldest updaters, if there are too many, made one for each version."""
    updaters = [entry for entry in entries if entry["operation"] == UPDATE]
    if len(updaters) <= UPDATERS_MAX:
        return entries
    updaters.sort(key=lambda entry: (entry.get("time") or "", entry["manager"]))
    kept = [entry for entry in entries if entry["operation"] != UPDATE]
    buckets: dict[str, list[Entry]] = {}
    surplus = len(updaters) - UPDATERS_MAX
    while surplus > 0 and updaters:
        entry = updaters.pop(0)
        bucket = buckets.setdefault(entry["apiVersion"], [])
        surplus -= bool(bucket)  # The first of a version is only joined by the second.
        bucket.append(entry)
    for version, bucket in buckets.items():
        if len(bucket) == 1:
            kept += bucket
            continue
        fields: FieldSet = {}
        for entry in bucket:
            fields = union(fields, entry["fieldsV1"])
        kept.append(Writer(_ANCIENT, UPDATE, version).entry(fields, bucket[-1].get("time")))
    return kept + updaters
