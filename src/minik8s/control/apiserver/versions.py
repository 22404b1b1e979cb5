"""Kinds served in two versions: one is stored, the other is a view of it.

Called by `handler`. Everything below it (cache, pipeline, admission, validation) knows the stored version alone; what
goes in and comes out in the other one is converted here. Conversions are pure and lose nothing on the way there and
back (`tests/control/apiserver/test_versions.py`).
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import Response, WatchEvent
from minik8s.control.apiserver import schema
from minik8s.control.apiserver.resource import Conversion, Document, Resource
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


def convert_answer(resource: Resource, response: Response) -> Response:
    """An answer in the stored version, in this one: an object, a list, or a Status, which stays."""
    if resource.conversion is None:
        return response
    document = _decode(response.body)
    if document["kind"] == resource.kind:
        document = _converted(resource, document)
    elif document["kind"] == f"{resource.kind}List":
        items = [_converted(resource, item) for item in document["items"]]
        document |= {"apiVersion": resource.api_version, "items": items}
    else:
        return response
    return replace(response, body=_encode(document))


def convert_watch(resource: Resource, watcher: Watcher) -> "Watcher | ConvertedWatcher":
    """A watch of the stored version, as one of this version."""
    return watcher if resource.conversion is None else ConvertedWatcher(resource, watcher)


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
            yield [self._event(event) for event in events]

    def _event(self, event: WatchEvent) -> WatchEvent:
        document = _decode(event.object)
        if event.type == "BOOKMARK":
            document["apiVersion"] = self._resource.api_version
        else:
            document = _converted(self._resource, document)
        return replace(event, object=_encode(document))
