"""Kinds served in several versions.

Of a built-in kind one version is stored and the others are views of it: everything below `handler` (cache, pipeline,
admission, validation) knows the stored version alone; what goes in and comes out in the other one is converted here.
These conversions are pure and lose nothing on the way there and back (`tests/control/apiserver/test_versions.py`).

Of a custom kind the pipeline works in the version of the request, as upstream. Objects in the cache and in the store
are in whatever version they were written in; `registry_for` and the functions on answers make of them what is served.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import Response, WatchEvent
from minik8s.control.apiserver import schema
from minik8s.control.apiserver.registry import Registry, Rewrite, Stored, Superseded, encode
from minik8s.control.apiserver.resource import Conversion, Custom, Document, Resource
from minik8s.control.apiserver.views import View
from minik8s.control.apiserver.watchers import Watcher

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def stored_version(resource: Resource) -> Resource:
    """The version of a kind that is stored; usually the one there is."""
    return resource.conversion.stored if resource.conversion else resource


def shown_as(resource: Resource, view: View) -> View:
    """A view of the stored version, as a view of this one."""
    conversion = resource.conversion
    if conversion is None or view.resource is not None:  # A Scale is the same in every version.
        return view
    return View(
        read=lambda document: _converted(resource, view.read(document)),
        write=lambda old, given: view.write(old, _restored(conversion, given)),
        resource=resource,
    )


async def convert_answer(resource: Resource, response: Response) -> Response:
    """An answer of what is stored, in this version: an object, a list, or a Status, which stays."""
    if resource.conversion is None and resource.custom is None:
        return response
    document = _decode(response.body)
    if document["kind"] == resource.kind:
        document = (await _all_converted(resource, [document]))[0]
    elif document["kind"] == f"{resource.kind}List" or (resource.custom and "items" in document):
        items = await _all_converted(resource, document["items"])
        document |= {"apiVersion": resource.api_version, "items": items}
    else:
        return response
    return replace(response, body=_encode(document))


def convert_watch(resource: Resource, watcher: Watcher) -> "Watcher | ConvertedWatcher":
    """A watch of what is stored, as one of this version."""
    is_as_stored = resource.conversion is None and resource.custom is None
    return watcher if is_as_stored else ConvertedWatcher(resource, watcher)


def registry_for(registry: Registry, resource: Resource) -> "Registry | CustomRegistry":
    """Where the pipeline finds objects in this version and leaves them."""
    return CustomRegistry(registry, resource.custom) if resource.custom else registry


@dataclass(frozen=True, slots=True)
class CustomRegistry:
    """The writing half of a Registry, whose objects are in one version of a custom kind."""

    registry: Registry
    custom: Custom

    async def get(self, key: bytes) -> Stored | None:
        """As Registry.get."""
        return await self._opened(await self.registry.get(key))

    async def create(
        self,
        key: bytes,
        document: Document,
        *,
        lease: int = 0,
        claims: Iterable[str] = (),
        beside: Sequence[Rewrite] = (),
    ) -> Stored:
        """As Registry.create."""
        written = await self.custom.write(document)
        try:
            made = await self.registry.create(key, written, lease=lease, claims=claims, beside=beside)
        except Superseded as superseded:
            raise Superseded(await self._opened(superseded.current)) from superseded
        return _holding(made, document)

    async def update(
        self,
        old: Stored,
        document: Document,
        *,
        lease: int = 0,
        claims: Iterable[str] = (),
        releases: Iterable[str] = (),
        beside: Sequence[Rewrite] = (),
    ) -> Stored:
        """As Registry.update."""
        written = await self.custom.write(document)
        try:
            made = await self.registry.update(
                old, written, lease=lease, claims=claims, releases=releases, beside=beside
            )
        except Superseded as superseded:
            raise Superseded(await self._opened(superseded.current)) from superseded
        return _holding(made, document)

    async def delete(self, old: Stored, *, releases: Iterable[str] = ()) -> int:
        """As Registry.delete."""
        try:
            return await self.registry.delete(old, releases=releases)
        except Superseded as superseded:
            raise Superseded(await self._opened(superseded.current)) from superseded

    async def _opened(self, stored: Stored | None) -> Stored | None:
        if stored is None:
            return None
        document = stored.document()
        is_current = document["apiVersion"] == self.custom.stored_api_version
        return replace(_holding(stored, (await self.custom.read([document]))[0]), is_current=is_current)


def _holding(stored: Stored, document: Document) -> Stored:
    """The same write, but with the object in another version."""
    return replace(stored, value=encode(document, ""))


async def _all_converted(resource: Resource, documents: Sequence[Document]) -> list[Document]:
    if resource.custom:
        return await resource.custom.read(documents)
    return [_converted(resource, document) for document in documents]


def _converted(resource: Resource, document: Document) -> Document:
    assert resource.conversion
    made = resource.conversion.from_stored(document)
    return made | {"kind": resource.kind, "apiVersion": resource.api_version}


def _restored(conversion: Conversion, document: Document) -> Document:
    stored = conversion.stored
    made = conversion.to_stored(document) | {"kind": stored.kind, "apiVersion": stored.api_version}
    # What an annotation brought has been looked at by nobody yet.
    return schema.check(made, stored)[0]


class ConvertedWatcher:
    """A Watcher whose events are converted as they are read."""

    def __init__(self, resource: Resource, watcher: Watcher) -> None:
        self._resource = resource
        self._watcher = watcher
        self.request_progress = watcher.request_progress
        self.close = watcher.close
        self.end: Callable[[StatusError | None], None] = watcher.end

    async def __aiter__(self) -> AsyncIterator[WatchEvent]:
        async for events in self.batches():
            for event in events:
                yield event

    async def batches(self, size: int = 256) -> AsyncIterator[list[WatchEvent]]:
        """The events, as many at a time as are there, up to `size`."""
        async for events in self._watcher.batches(size):
            documents = [_decode(event.object) for event in events]
            changes = [index for index, event in enumerate(events) if event.type != "BOOKMARK"]
            converted = await _all_converted(self._resource, [documents[index] for index in changes])
            for index, document in zip(changes, converted, strict=True):
                documents[index] = document
            for document in documents:
                document["apiVersion"] = self._resource.api_version
            pairs = zip(events, documents, strict=True)
            yield [replace(event, object=_encode(document)) for event, document in pairs]
