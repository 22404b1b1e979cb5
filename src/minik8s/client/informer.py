"""A local copy of one kind, kept by list and watch.

Two parts. `Store` is pure: what it holds, and what a list, an event, or a failure changes. `Informer` is the shell
that asks the server and tells the handlers. The cycle, driven by `Store.must_list`:

    list → watch from its revision → (stream ends or breaks: watch again from the last revision)
      ↑______________________________ history is gone (410): list again _____________________|

Promises: handlers see each object's states in order, never an older one after a newer one, and each change at most
once; changes between two lists come as one step. `revision` only grows. Objects handed out are shared: do not change
them. Handlers are plain functions run between two events; they must not block (put a key in a queue).
"""

import asyncio
import random
from asyncio import sleep
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.kind import Kind, T
from minik8s.api.meta_v1 import key_of
from minik8s.api.request import WatchEvent
from minik8s.client.client import Client
from minik8s.client.transport import WatchStream
from minik8s.kit.backoff import Backoff
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger

log = get_logger(__name__)

Handler = Callable[[str, Any, Any], None]
"""Called as (type, old, new) with type ADDED (old is None), MODIFIED, or DELETED (new is the last known state)."""

# How long a reader of its own write waits for the event itself before it asks for a bookmark, and between askings.
_PROGRESS_DELAY_S = 0.05


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One step of one object, as handlers are told it."""

    type: str  # ADDED MODIFIED DELETED
    key: str
    old: T | None
    new: T


class Store(Generic[T]):
    """Objects by key, the revision they are at, and indexes. Pure: no IO, no time."""

    def __init__(self) -> None:
        self.items: dict[str, T] = {}
        self.revision = 0  # never decreases
        self.must_list = True
        self._indexes: dict[str, Callable[[T], Iterable[str]]] = {}
        self._buckets: dict[str, dict[str, dict[str, T]]] = {}  # index → value → key → object

    def replace(self, items: Iterable[T], revision: int) -> list[Change[T]]:
        """Take a list; what it changes. A list older than what was seen already changes nothing."""
        if revision < self.revision:
            return []
        listed = {key_of(obj): obj for obj in items}
        changes = [Change("DELETED", key, old, old) for key, old in self.items.items() if key not in listed]
        for key, new in listed.items():
            old = self.items.get(key)
            if old is None:
                changes.append(Change("ADDED", key, None, new))
            elif _uid(old) != _uid(new):
                changes += [Change("DELETED", key, old, old), Change("ADDED", key, None, new)]
            elif _revision(old) < _revision(new):
                changes.append(Change("MODIFIED", key, old, new))
        for change in changes:
            self._take(change)
        self.revision = revision
        self.must_list = False
        return changes

    def apply(self, type_: str, obj: T, revision: int) -> Change[T] | None:
        """Take a watch event; None if it is nothing new. (The API server writes one object per revision.)"""
        if revision <= self.revision:
            return None
        self.revision = revision
        key = key_of(obj)
        old = self.items.get(key)
        if type_ == "DELETED":
            if old is None:
                return None
            change = Change("DELETED", key, old, obj)
        else:
            change = Change("MODIFIED" if old else "ADDED", key, old, obj)
        self._take(change)
        return change

    def advance(self, revision: int) -> None:
        """Take a bookmark: nothing of this kind changed up to `revision`."""
        self.revision = max(self.revision, revision)

    def fail(self, error: StatusError) -> None:
        """Take a failure of the watch: history that is gone means a new list, anything else the same watch again."""
        if error.reason in ("Expired", "Gone") or error.code == 410:
            self.must_list = True

    def add_index(self, name: str, values: Callable[[T], Iterable[str]]) -> None:
        """Keep objects findable by what `values` says of them."""
        self._indexes[name] = values
        self._buckets[name] = {}
        for key, obj in self.items.items():
            self._index(name, key, None, obj)

    def by_index(self, name: str, value: str) -> list[T]:
        """The objects that have `value`, in order of first sight."""
        return list(self._buckets[name].get(value, {}).values())

    def _take(self, change: Change[T]) -> None:
        gone = change.type == "DELETED"
        if gone:
            del self.items[change.key]
        else:
            self.items[change.key] = change.new
        for name in self._indexes:
            self._index(name, change.key, change.old, None if gone else change.new)

    def _index(self, name: str, key: str, old: T | None, new: T | None) -> None:
        values, buckets = self._indexes[name], self._buckets[name]
        before = set(values(old)) if old is not None else set()
        after = set(values(new)) if new is not None else set()
        for value in before - after:
            buckets[value].pop(key, None)
            if not buckets[value]:
                del buckets[value]
        for value in after:
            assert new is not None
            buckets.setdefault(value, {})[key] = new


class Informer(Generic[T]):
    """Keeps a Store in step with the server while `run` runs."""

    def __init__(
        self,
        client: Client,
        kind: Kind[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()  # set once the first list is in; stays set
        self.store: Store[T] = Store()
        self.items: Mapping[str, T] = MappingProxyType(self.store.items)
        self._client = client
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._clock = clock
        self._backoff = Backoff(rng, first_s=0.1, max_s=5.0)
        self._handlers: list[Handler] = []
        self._decode = msgspec.json.Decoder(kind.model).decode
        self._stream: WatchStream | None = None
        self._moved = asyncio.Event()  # set, and replaced, whenever `revision` grows

    @property
    def revision(self) -> int:
        """Everything up to this revision is in `items`."""
        return self.store.revision

    def get(self, key: str) -> T | None:
        """The object, as far as is known here."""
        return self.store.items.get(key)

    def add_handler(self, handler: Handler) -> None:
        """Call `handler` for every change; before `run`, so that none is missed."""
        self._handlers.append(handler)

    def clear(self) -> None:
        """All objects are gone, because their kind is: tell so. For after `run`."""
        self._tell(self.store.replace([], self.revision))

    def add_index(self, name: str, values: Callable[[T], Iterable[str]]) -> None:
        """Make `by_index(name, value)` find objects for which `values(obj)` has `value`."""
        self.store.add_index(name, values)

    def by_index(self, name: str, value: str) -> list[T]:
        """The objects indexed under `value`."""
        return self.store.by_index(name, value)

    async def reach(self, revision: int, *, timeout_s: float = 10.0) -> None:
        """Wait until `items` include everything up to `revision`. Raises TimeoutError."""
        if self.revision >= revision:
            return
        async with asyncio.timeout(timeout_s):
            while self.revision < revision:
                moved = self._moved
                try:
                    async with asyncio.timeout(_PROGRESS_DELAY_S):
                        await moved.wait()
                except TimeoutError:
                    # The event that would bring it may not exist (of another kind, filtered): ask.
                    if self._stream is not None:
                        await self._stream.request_progress()

    async def run(self) -> None:
        """List and watch until cancelled. Failures are retried with back-off, for ever."""
        while True:
            try:
                if self.store.must_list:
                    await self._list()
                await self._follow()
            except StatusError as error:
                self.store.fail(error)
                delay_s = self._backoff.next_s()
                if self._backoff.attempts > 3:
                    log.warning("watch interrupted", kind=self.kind.name, reason=error.reason, error=error.message)
                await sleep(delay_s)

    async def _list(self) -> None:
        listed = await self._client.list(
            self.kind,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        if listed.revision < self.revision:
            # As etcd restored from an old backup would look; and what a stale cache in front of it might answer.
            raise errors.timeout(f"the list is at revision {listed.revision}, but {self.revision} has been seen")
        self._tell(self.store.replace(listed.items, listed.revision))
        self._wake()
        self.synced.set()

    async def _follow(self) -> None:
        """Apply the events of one watch until it ends."""
        stream = await self._client.watch(
            self.kind,
            namespace=self._namespace,
            revision=self.revision,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        opened_s = self._clock.monotonic_s()
        self._stream = stream
        try:
            async for event in stream:
                self._step(event)
        finally:
            self._stream = None
            await stream.close()
            # A server that ends every watch soon, one way or another, must not be asked in a tight loop.
            if self._clock.monotonic_s() - opened_s >= 1.0:
                self._backoff.reset()
        await sleep(self._backoff.next_s())

    def _step(self, event: WatchEvent) -> None:
        if event.type == "ERROR":
            raise errors.from_status(msgspec.json.decode(event.object))
        if event.type == "BOOKMARK":
            self.store.advance(event.revision)
        else:
            change = self.store.apply(event.type, self._decode(event.object), event.revision)
            self._tell([change] if change else [])
        self._wake()

    def _tell(self, changes: Iterable[Change[T]]) -> None:
        for change in changes:
            for handler in self._handlers:
                handler(change.type, change.old, change.new)

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


async def reach_all(informers: Iterable[Informer[Any]], revision: int) -> None:
    """`reach` of them all at once, as each may have to ask for a bookmark. Raises what the first to fail raises."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for informer in informers:
                tasks.create_task(informer.reach(revision))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def _uid(obj: Any) -> str | None:
    return obj.metadata.uid


def _revision(obj: Any) -> int:
    return int(obj.metadata.resourceVersion or 0)
