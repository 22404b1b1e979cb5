"""The typed client: methods take a Kind, return its model; failures are api.errors.StatusError.

Controllers create, patch and delete. There is no method that replaces a whole object: fields a model does not know
would be lost (architecture, invariant 6).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from minik8s.api.kind import Kind, T
from minik8s.api.request import JSON, MERGE_PATCH, Request, Response
from minik8s.client.transport import Transport, WatchStream

S = TypeVar("S", bound=msgspec.Struct)

_encode = msgspec.json.Encoder().encode


class _ListMeta(msgspec.Struct):
    resourceVersion: str = "0"
    continue_: str = msgspec.field(default="", name="continue")


class _RawList(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True, slots=True)
class ObjectList(Generic[T]):
    """A consistent list and the revision it was read at."""

    items: list[T]
    revision: int


class Client:
    """Typed access to one cluster through any transport; `field_manager` names the writer in managedFields."""

    def __init__(self, transport: Transport, *, field_manager: str) -> None:
        self.transport = transport
        self._field_manager = field_manager

    async def get(self, kind: Kind[T], name: str, *, namespace: str = "") -> T:
        """The object, read consistently. Raises StatusError NotFound."""
        response = await self._call("get", kind, namespace, name)
        return msgspec.json.decode(response.body, type=kind.model)

    async def list(
        self,
        kind: Kind[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        page_size: int = 0,
    ) -> ObjectList[T]:
        """All matching objects at one revision; fetched in pages of `page_size` (0: at once)."""
        query = _present(labelSelector=label_selector, fieldSelector=field_selector)
        if page_size:
            query["limit"] = str(page_size)
        items: list[T] = []
        while True:
            response = await self._call("list", kind, namespace, query=query)
            page = msgspec.json.decode(response.body, type=_RawList)
            items += [msgspec.json.decode(item, type=kind.model) for item in page.items or ()]
            if not page.metadata.continue_:
                return ObjectList(items, int(page.metadata.resourceVersion))
            query["continue"] = page.metadata.continue_

    async def watch(
        self,
        kind: Kind[T],
        *,
        namespace: str = "",
        revision: int,
        label_selector: str = "",
        field_selector: str = "",
    ) -> WatchStream:
        """Events strictly after `revision`. Raises StatusError Expired when history does not reach back so far."""
        query = _present(labelSelector=label_selector, fieldSelector=field_selector)
        query |= {"watch": "1", "resourceVersion": str(revision), "allowWatchBookmarks": "true"}
        return await self.transport.watch(_request("watch", kind, namespace, query=query))

    async def create(self, kind: Kind[T], obj: T | Mapping[str, Any], *, namespace: str = "") -> T:
        """The object as stored. apiVersion and kind are filled in. Raises StatusError AlreadyExists, Invalid, …"""
        document = msgspec.to_builtins(obj) | {"apiVersion": kind.api_version, "kind": kind.name}
        namespace = namespace or (document.get("metadata") or {}).get("namespace", "")
        response = await self._call("create", kind, namespace, body=_encode(document), query=self._manager())
        return msgspec.json.decode(response.body, type=kind.model)

    async def create_subresource(
        self, kind: Kind[T], name: str, subresource: str, body: Mapping[str, Any], *, namespace: str = ""
    ) -> Response:
        """POST to a subresource: pods/binding, pods/eviction, serviceaccounts/token."""
        return await self._call("create", kind, namespace, name, subresource, body=_encode(body), query=self._manager())

    async def patch(
        self,
        kind: Kind[T],
        name: str,
        patch: Mapping[str, Any] | Sequence[Any],
        *,
        namespace: str = "",
        patch_type: str = MERGE_PATCH,
        subresource: str = "",
    ) -> T:
        """The object after the patch. Put metadata.resourceVersion into it for an optimistic write."""
        query = self._manager()
        response = await self._call(
            "patch", kind, namespace, name, subresource, _encode(patch), query=query, content_type=patch_type
        )
        return msgspec.json.decode(response.body, type=kind.model)

    async def delete(
        self,
        kind: Kind[T],
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        grace_period_s: int | None = None,
        propagation: str = "Background",
    ) -> int:
        """Begin deletion; the revision that it made. `uid` makes it conditional. Raises StatusError NotFound, …"""
        options: dict[str, Any] = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": propagation,
        }
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        return (await self._call("delete", kind, namespace, name, body=_encode(options))).revision

    async def current_revision(self, kind: Kind[Any]) -> int:
        """The newest revision of the whole store, read consistently by a list of at most one `kind`."""
        response = await self._call("list", kind, "", query={"limit": "1"})
        return int(msgspec.json.decode(response.body, type=_RawList).metadata.resourceVersion)

    def _manager(self) -> dict[str, str]:
        return {"fieldManager": self._field_manager}

    async def _call(
        self,
        verb: str,
        kind: Kind[Any],
        namespace: str,
        name: str = "",
        subresource: str = "",
        body: bytes = b"",
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Response:
        request = _request(verb, kind, namespace, name, subresource, body, query=query, content_type=content_type)
        return await self.transport.call(request)


def _request(
    verb: str,
    kind: Kind[Any],
    namespace: str,
    name: str = "",
    subresource: str = "",
    body: bytes = b"",
    *,
    query: Mapping[str, str] | None = None,
    content_type: str = JSON,
) -> Request:
    return Request(
        verb,
        kind.group,
        kind.version,
        kind.plural,
        namespace if kind.namespaced else "",
        name,
        subresource,
        dict(query or {}),
        body,
        content_type,
    )


def _present(**query: str) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}
