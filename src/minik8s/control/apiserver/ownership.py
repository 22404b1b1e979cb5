"""Whose fields a write touches: what `managedfields` and `apply` need to know of a call. Pure.

Called by `pipeline`. Finds the writer's name, the topology of the kind in the version the client speaks, the fields
that the written part of the object cannot change, and how entries in other versions are understood.
"""

from functools import cache, partial
from typing import Any

from minik8s.api.request import Request
from minik8s.control.apiserver import apply as applying
from minik8s.control.apiserver import managedfields, schema, topology_builtin, topology_custom
from minik8s.control.apiserver.fieldset import FieldSet
from minik8s.control.apiserver.managedfields import Entry, Terms, Writer
from minik8s.control.apiserver.options import MANAGER_LENGTH_MAX
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.topology import Fields

_ALL: FieldSet = {}
# What writes of a part cannot change, as upstream's resetFields. The main resource leaves status to its subresource.
_MAIN = {"f:status": _ALL}
_STATUS = {
    "f:spec": _ALL,
    "f:metadata": {"f:deletionTimestamp": _ALL, "f:labels": _ALL, "f:ownerReferences": _ALL},
}
_STATUS_OF = {
    "Deployment": _STATUS,
    "Pod": {"f:spec": _ALL, "f:metadata": {"f:deletionTimestamp": _ALL, "f:ownerReferences": _ALL}},
}
# What the server adds on creation before anybody can look: the client does not own it.
_GIVEN_AT_CREATION: dict[str, FieldSet] = {
    "Namespace": {"f:spec": {"f:finalizers": _ALL}},
    "Job": {
        "f:spec": {
            "f:selector": _ALL,
            "f:template": {
                "f:metadata": {
                    "f:labels": {
                        "f:batch.kubernetes.io/controller-uid": _ALL,
                        "f:batch.kubernetes.io/job-name": _ALL,
                        "f:controller-uid": _ALL,
                        "f:job-name": _ALL,
                    }
                }
            },
        }
    },
}


def after_write(
    stored: Resource,
    asked: Resource,
    request: Request,
    old: Document | None,
    entries: list[Entry],
    new: Document,
    given: Any,
    now: str,
) -> list[Entry]:
    """The managedFields after a write that is no apply; `entries` are those before it.

    `given` is what the client's document says they were. Documents are of the stored version.
    """
    if given and given != entries and not request.subresource:
        said = managedfields.read(given)
        entries = entries if said is None else said
    terms = _terms(stored, asked, request.subresource, is_new=old is None)
    if asked is not stored and asked.conversion:
        old, new = old and asked.conversion.from_stored(old), asked.conversion.from_stored(new)
    return managedfields.after_update(entries, old, new, _writer(asked, request), terms, now)


def after_apply(
    stored: Resource,
    asked: Resource,
    request: Request,
    live: Document | None,
    entries: list[Entry],
    config: Document,
    now: str,
) -> tuple[Document, list[Entry]]:
    """The object after a server-side apply, and its managedFields. Documents are of the version that was asked for.

    Raises StatusError BadRequest, Conflict.
    """
    return applying.apply(
        entries,
        live,
        config,
        _writer(asked, request, managedfields.APPLY),
        _terms(stored, asked, request.subresource, is_new=False),
        force=request.query.get("force") in ("true", "1", ""),
        now=now,
    )


def _writer(asked: Resource, request: Request, operation: str = managedfields.UPDATE) -> Writer:
    manager = request.query.get("fieldManager") or request.user_agent.partition("/")[0][:MANAGER_LENGTH_MAX]
    return Writer(manager or "unknown", operation, asked.api_version, request.subresource)


def _terms(stored: Resource, asked: Resource, subresource: str, *, is_new: bool) -> Terms:
    ignored = _ignored(stored.kind, stored.has_status(), subresource, is_new)
    topology, beginning = _described(asked)
    return Terms(topology, beginning, ignored, partial(_converted, stored, asked))


@cache
def _ignored(kind: str, has_status: bool, subresource: str, is_new: bool) -> FieldSet:
    if subresource:
        return _STATUS_OF.get(kind, {"f:spec": _ALL}) if subresource == "status" else {}
    ignored = dict(_MAIN) if has_status or kind == "Namespace" else {}
    return ignored | _GIVEN_AT_CREATION.get(kind, {}) if is_new else ignored


def _described(resource: Resource) -> tuple[Fields, Document]:
    """The topology of a kind in one version, and what its objects begin as."""
    if resource.custom:
        return topology_custom.topology_of(resource.custom.schema), {"metadata": {}}
    return topology_builtin.topology_of(resource.model), topology_builtin.beginning_of(resource.kind, resource.model)


def _converted(
    stored: Resource, asked: Resource, document: Document, api_version: str
) -> tuple[Document, Fields] | None:
    """A document of the version that was asked for, in another; None if there is no such version."""
    if stored.custom:
        # The paths of versions are taken for the same; a conversion by webhook is not asked for this.
        same_group = api_version.rpartition("/")[0] == stored.group
        return (document, _described(asked)[0]) if same_group else None
    for version in _versions(stored.group, stored.kind, stored):
        if version.api_version == api_version:
            if asked.conversion:
                document = schema.check(asked.conversion.to_stored(document), stored)[0]
            if version.conversion:
                document = version.conversion.from_stored(document)
            return document, _described(version)[0]
    return None


def _versions(group: str, kind: str, stored: Resource) -> list[Resource]:
    from minik8s.control.apiserver import resources  # Which list every kind; few have versions.

    return [stored, *(each for each in resources.ALL if each.conversion and each.conversion.stored is stored)]
