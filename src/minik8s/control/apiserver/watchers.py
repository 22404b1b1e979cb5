"""Watches of one kind: what each selects, how a change looks to it, and its bounded queue.

`watchcache` delivers changes; the adapters (`rest`, `grpc`, the client's local transport) iterate a Watcher.

Queues: each watcher has one of `queue_changes`. One that is full ends the watch quietly after what it holds; the
client watches again from the last revision it saw and is served from history, so nothing is lost, repeated or held up.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from minik8s.api.errors import StatusError
from minik8s.api.request import WatchEvent
from minik8s.control.apiserver.registry import splice

QUEUE_CHANGES = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in the cache."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    body: bytes  # its JSON, with resourceVersion
    revision: int


@dataclass(slots=True)
class Change:
    """What one write did to one object; `after` None is a deletion, `before` None a creation."""

    revision: int
    after: Entry | None
    before: Entry | None
    _events: dict[str, WatchEvent] = field(default_factory=dict)  # by type; watchers share them

    def seen_as(self, selection: "Selection") -> WatchEvent | None:
        """The event for whoever selects so: an object that starts or stops matching is added or deleted."""
        is_match = self.after is not None and selection.matches(self.after)
        was_match = self.before is not None and selection.matches(self.before)
        if is_match:
            return self._event("MODIFIED" if was_match else "ADDED")
        return self._event("DELETED") if was_match else None

    def _event(self, type_: str) -> WatchEvent:
        event = self._events.get(type_)
        if event is None:
            if type_ == "DELETED":
                # As upstream: the last state that matched, with the revision of the change that ended it.
                assert self.before
                body = splice(self.before.body, self.revision)
            else:
                assert self.after
                body = self.after.body
            event = self._events[type_] = WatchEvent(type_, body, self.revision)
        return event


class LabelMatcher(Protocol):
    """A parsed label or field selector."""

    def matches(self, values: Mapping[str, str], /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list or watch is about. None selects everything."""

    namespace: str = ""
    labels: LabelMatcher | None = None
    fields: LabelMatcher | None = None
    exact: tuple[str, str] | None = None  # one field the selector pins, by which watchers are indexed

    def matches(self, entry: Entry) -> bool:
        """Whether the entry is selected."""
        return (
            (not self.namespace or entry.namespace == self.namespace)
            and (self.labels is None or self.labels.matches(entry.labels))
            and (self.fields is None or self.fields.matches(entry.fields))
        )


class Watcher:
    """One open watch: first `backlog`, then what is delivered. It is the client's WatchStream."""

    def __init__(
        self,
        index: "WatcherIndex",
        selection: Selection,
        *,
        after: int,
        backlog: Iterator[WatchEvent],
        wants_bookmarks: bool,
        kind: str,
        api_version: str,
        newest: "Newest",
    ) -> None:
        self.selection = selection
        self._index = index
        self._backlog = backlog
        self._wants_bookmarks = wants_bookmarks
        self._kind = kind
        self._api_version = api_version
        self._newest = newest
        self._delivered = after  # revision up to which the queue is complete
        self._queue: deque[WatchEvent] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        self._error: StatusError | None = None
        self._timer: asyncio.TimerHandle | None = None
        index.add(self)

    def deliver(self, change: Change) -> None:
        """Queue a change if it is selected and new to this watch."""
        if change.revision <= self._delivered:
            return
        event = change.seen_as(self.selection)
        if event is not None:
            self._put(event)

    def bookmark(self, revision: int) -> None:
        """Queue a BOOKMARK at `revision`, if the client wants any."""
        if self._wants_bookmarks and revision >= self._delivered:
            self._put(bookmark_event(self._kind, self._api_version, revision))

    def end(self, error: StatusError | None = None) -> None:
        """End the stream after what is queued: quietly, or with `error`."""
        if not self._ended:
            self._ended, self._error = True, error
            self._index.discard(self)
            self._wake.set()

    def end_after(self, timeout_s: float) -> None:
        """End quietly, after a last bookmark, when `timeout_s` has passed."""

        def expire() -> None:
            self.bookmark(self._newest.revision)
            self.end()

        self._timer = asyncio.get_running_loop().call_later(timeout_s, expire)

    async def request_progress(self) -> None:
        """Queue a BOOKMARK at the newest revision, once the cache has reached it."""
        revision = max(await self._newest.reached(), self._delivered)
        self._put(bookmark_event(self._kind, self._api_version, revision))

    async def close(self) -> None:
        """End it now and forget what is queued."""
        self._queue.clear()
        self._backlog = iter(())
        self.end()
        if self._timer:
            self._timer.cancel()

    async def __aiter__(self) -> AsyncIterator[WatchEvent]:
        async for events in self.batches():
            for event in events:
                yield event

    async def batches(self, size: int = 256) -> AsyncIterator[list[WatchEvent]]:
        """The events, as many at a time as are there, up to `size`."""
        try:
            while events := list(itertools.islice(self._backlog, size)):
                yield events
            while True:
                while self._queue:
                    yield [self._queue.popleft() for _ in range(min(size, len(self._queue)))]
                if self._ended:
                    break
                self._wake.clear()
                await self._wake.wait()
            if self._error:
                raise self._error
        finally:
            await self.close()

    def _put(self, event: WatchEvent) -> None:
        if self._ended:
            return
        if len(self._queue) >= QUEUE_CHANGES:
            self.end()
            return
        self._queue.append(event)
        self._wake.set()


class Newest(Protocol):
    """How far the cache is, and how far it could be."""

    @property
    def revision(self) -> int: ...

    async def reached(self) -> int:
        """The store's newest revision, once the cache is there."""


class WatcherIndex:
    """Watchers by one field each, so that a thousand kubelets do not mean a thousand filters per event."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], dict[Watcher, None]] = {}

    def add(self, watcher: Watcher) -> None:
        self._buckets.setdefault(_bucket(watcher.selection), {})[watcher] = None

    def discard(self, watcher: Watcher) -> None:
        """Forget a watcher; harmless if it is not there."""
        bucket = _bucket(watcher.selection)
        watchers = self._buckets.get(bucket, {})
        watchers.pop(watcher, None)
        if not watchers:
            self._buckets.pop(bucket, None)

    def all(self) -> list[Watcher]:
        """Every watcher."""
        return [watcher for bucket in self._buckets.values() for watcher in bucket]

    def deliver(self, change: Change) -> None:
        """Hand a change to those it can concern."""
        buckets: dict[tuple[str, str], None] = {("", ""): None}
        for entry in (change.after, change.before):
            if entry:
                buckets[("metadata.namespace", entry.namespace)] = None
                for name in INDEXED_FIELDS:
                    if name in entry.fields:
                        buckets[(name, entry.fields[name])] = None
        for bucket in buckets:
            # A copy: a full queue ends its watcher, which leaves the index.
            for watcher in list(self._buckets.get(bucket, ())):
                watcher.deliver(change)

    def end_all(self, error: StatusError) -> None:
        """End every watch with `error`."""
        for watcher in self.all():
            watcher.end(error)


INDEXED_FIELDS = ("metadata.name", "spec.nodeName")


def _bucket(selection: Selection) -> tuple[str, str]:
    if selection.exact:
        return selection.exact
    return ("metadata.namespace", selection.namespace) if selection.namespace else ("", "")


def bookmark_event(kind: str, api_version: str, revision: int, annotation: str = "") -> WatchEvent:
    """A BOOKMARK; `annotation` is set to "true" on it if given."""
    annotations = f',"annotations":{{"{annotation}":"true"}}' if annotation else ""
    metadata = f'{{"resourceVersion":"{revision}"{annotations}}}'
    body = f'{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata}}}'
    return WatchEvent("BOOKMARK", body.encode(), revision)
