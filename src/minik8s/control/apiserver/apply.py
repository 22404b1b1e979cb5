"""Server-side apply: make an object agree with a configuration, and remember who wants which field. Pure.

Called by `ownership`. The configuration is merged over the live object; what its manager applied before, leaves out
now and shares with nobody is taken out; what it would change of others' is a conflict, unless it is forced. As
Updater.Apply of sigs.k8s.io/structured-merge-diff, and k8s.io/apimachinery/pkg/util/managedfields/internal.
"""

import json
from dataclasses import replace
from typing import Any

from minik8s.api import errors
from minik8s.api.errors import Cause, StatusError
from minik8s.control.apiserver import fieldset, managedfields, typed
from minik8s.control.apiserver.fieldset import FieldSet, difference, intersection, union, without
from minik8s.control.apiserver.managedfields import Changes, Entry, Terms, Writer
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.topology import Unkeyed

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_BEFORE_FIRST = "before-first-apply"
_ANNOTATIONS_BYTES_MAX = 256 * 1024


class _Conflict(Exception):
    """What a configuration would take from others."""

    def __init__(self, taken: list[tuple[Entry, FieldSet]]) -> None:
        super().__init__("conflict")
        self.taken = taken


def apply(
    entries: list[Entry],
    live: Document | None,
    config: Document,
    writer: Writer,
    terms: Terms,
    *,
    force: bool,
    now: str,
) -> tuple[Document, list[Entry]]:
    """The object after an apply, and its entries. `live` is None if there is no object yet.

    Both results may share with the arguments. Raises StatusError BadRequest, Conflict.
    """
    if config.get("apiVersion") != writer.api_version:
        raise errors.bad_request(
            "Incorrect version specified in apply patch. Specified patch version: "
            f"{config.get('apiVersion', '')}, expected: {writer.api_version}"
        )
    if config["metadata"].get("managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")
    here = terms.beginning if live is None else live
    try:
        wanted = typed.field_set(terms.topology, config)
        if live is not None and not entries:
            # As upstream: what nobody was seen to write is somebody's all the same.
            first = Writer(_BEFORE_FIRST, managedfields.UPDATE, writer.api_version)
            entries = managedfields.after_update([], None, live, first, terms, "")
        try:
            merged, entries = _applied(entries, here, config, wanted, writer, terms, force, now)
        except _Conflict as conflict:
            if writer.manager != "kubectl" or (left := _unexplained(conflict, live, terms)):
                raise _refusal(left if writer.manager == "kubectl" else conflict.taken) from None
            merged, entries = _applied(entries, here, config, wanted, writer, terms, True, now)
    except typed.Untyped as error:
        raise errors.bad_request(f"failed to create typed patch object ({_named(config)}): {error}") from None
    except Unkeyed as error:
        raise errors.bad_request(f"failed to create typed live object: {error}") from None
    if writer.manager == "kubectl":
        merged = _with_last_applied(merged, config)
    return merged, entries


def _applied(
    entries: list[Entry],
    live: Document,
    config: Document,
    wanted: FieldSet,
    writer: Writer,
    terms: Terms,
    force: bool,
    now: str,
) -> tuple[Document, list[Entry]]:
    wanted = without(wanted, terms.ignored)
    mine = next((entry for entry in entries if writer.owns(entry)), None)
    others = [entry for entry in entries if entry is not mine]
    merged: Document = typed.merge(terms.topology, live, config)
    if mine and difference(mine["fieldsV1"], wanted):
        merged = _pruned(merged, mine["fieldsV1"], wanted, others, terms)
    changes = Changes(terms, live, merged, writer.api_version)
    if not force and (taken := _taken(others, changes)):
        raise _Conflict(taken)
    kept = managedfields.shrunk(others, changes)
    is_same = mine is not None and mine["fieldsV1"] == wanted and mine["apiVersion"] == writer.api_version
    if mine and is_same and not changes.own:
        return live, entries
    if wanted:
        kept.append(writer.entry(wanted, now))
    return merged, managedfields.ordered(kept)


def _pruned(merged: Document, last: FieldSet, wanted: FieldSet, others: list[Entry], terms: Terms) -> Document:
    """The object without what the manager gave up and nobody else owns."""
    topology = terms.topology
    owned = wanted
    for entry in others:
        owned = union(owned, entry["fieldsV1"])

    def has(document: Document) -> FieldSet:
        found = typed.with_objects(topology, typed.field_set(topology, document, strict=False))
        return union(found, {"f:metadata": {}})  # Which always has a name, though nobody owns it.

    last, owned, all_fields = typed.with_objects(topology, last), typed.with_objects(topology, owned), has(merged)
    pruned = typed.remove(topology, merged, last) or {}
    pruned = typed.remove(topology, merged, difference(all_fields, union(has(pruned), owned))) or {}
    return typed.remove(topology, merged, intersection(difference(all_fields, has(pruned)), last)) or {}


def _taken(others: list[Entry], changes: Changes) -> list[tuple[Entry, FieldSet]]:
    """What the changes take from each of the others."""
    found = []
    for entry in others:
        if (at := changes.at(entry["apiVersion"])) and (
            fields := intersection(entry["fieldsV1"], union(at.modified, at.added))
        ):
            found.append((entry, fields))
    return found


def _unexplained(conflict: _Conflict, live: Document | None, terms: Terms) -> list[tuple[Entry, FieldSet]]:
    """The conflicts that are not with the user's own client-side applies, as their annotation tells."""
    allowed = _last_applied_fields(live, terms) if live else {}
    left = [(entry, difference(fields, allowed)) for entry, fields in conflict.taken]
    return [(entry, fields) for entry, fields in left if fields]


def _last_applied_fields(live: Document, terms: Terms) -> FieldSet:
    """What kubectl applied last on the client's side and nobody has changed since."""
    text = live["metadata"].get("annotations", {}).get(LAST_APPLIED)
    try:
        applied = json.loads(text) if text else None
        if not isinstance(applied, dict):
            return {}
        applied.setdefault("metadata", {})
        fields = typed.field_set(terms.topology, applied)
        changes = Changes(replace(terms, ignored={}), applied, live, "")
    except (ValueError, RecursionError, typed.Untyped, Unkeyed):
        return {}
    for gone in (changes.own.modified, changes.own.added, changes.own.removed):
        fields = difference(fields, gone)
    return fields


def _with_last_applied(merged: Document, config: Document) -> Document:
    """The object with kubectl's annotation, if it has one, saying what was applied now."""
    annotations = merged.get("metadata", {}).get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return merged
    told = json.loads(json.dumps(config))
    given = told["metadata"].get("annotations", {})
    given.pop(LAST_APPLIED, None)
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False, sort_keys=True) + "\n"
    sizes = sum(len(name) + len(value) for name, value in annotations.items() if name != LAST_APPLIED)
    if sizes + len(LAST_APPLIED) + len(text.encode()) > _ANNOTATIONS_BYTES_MAX:
        text = ""
    metadata = merged["metadata"] | {"annotations": annotations | {LAST_APPLIED: text}}
    return merged | {"metadata": metadata}


def _named(config: Document) -> str:
    metadata = config["metadata"]
    name = "/".join(str(part) for part in (metadata.get("namespace"), metadata.get("name")) if part)
    api_version = config["apiVersion"] if "/" in config["apiVersion"] else "/" + config["apiVersion"]
    return f"{name}; {api_version}, Kind={config.get('kind', '')}"


def _refusal(taken: list[tuple[Entry, FieldSet]]) -> StatusError:
    """409 in upstream's words, which kubectl shows with advice."""
    listed = [(_shown(entry), path) for entry, fields in taken for path in sorted(fieldset.paths(fields))]
    causes = [Cause("FieldManagerConflict", f"conflict with {manager}", path) for manager, path in listed]
    if len(listed) == 1:
        message = f"Apply failed with 1 conflict: conflict with {listed[0][0]}: {listed[0][1]}"
    else:
        lines: list[str] = []
        for manager in sorted({manager for manager, _ in listed}):
            lines += [f"conflicts with {manager}:", *(f"- {path}" for each, path in listed if each == manager)]
        message = f"Apply failed with {len(listed)} conflicts: " + "\n".join(lines)
    error = StatusError("Conflict", message)
    error.causes = tuple(causes)
    return error


def _shown(entry: Entry) -> Any:
    manager = json.dumps(entry["manager"], ensure_ascii=False)
    if entry.get("subresource"):
        manager += f" with subresource {json.dumps(entry['subresource'])}"
    return f"{manager} using {entry['apiVersion']}" if entry["operation"] == managedfields.UPDATE else manager
