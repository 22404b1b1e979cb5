"""Everything below /registry/ as of one revision, and the recent past of each kind, for lists and watches.

One etcd watch feeds it (`run`); `reads` lists from it and opens `watchers` on it. It holds encoded bytes and the few
fields that selectors look at, never trees.

`revision` is the one global number: every write at or below it has been applied here and handed to the watchers, of
whatever kind, so waiting for a revision (`reach`) works with the revision of any object. When the store's watch is
lost it resumes after `revision`. When the store has compacted past it, what happened between cannot be known: every
watcher is told 410 Expired, and the cache is filled anew.
"""

import asyncio
import random
from asyncio import sleep
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.control.apiserver import registry
from minik8s.control.apiserver.kindcache import KindCache, entry_of
from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.storage import Store, StoreError, StoreWatch
from minik8s.control.apiserver.watchers import Entry, Watcher
from minik8s.kit.backoff import Backoff
from minik8s.kit.log import get_logger
from minik8s.wire.etcd import rpc_pb2 as rpc

log = get_logger(__name__)

_decode_json = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class WatchCacheConfig:
    """Sizes and times of a WatchCache."""

    history_changes: int = 2048  # per kind; a watch from before them is told 410 Expired
    page_objects: int = 2000  # read at once while filling
    bookmark_interval_s: float = 60.0
    progress_interval_s: float = 0.1  # between requests for progress while somebody waits for a revision
    progress_delay_s: float = 0.005  # before the first: the change itself usually arrives sooner


class Definer(Protocol):
    """Makes further kinds of the objects of one kind: CustomResourceDefinitions (`extensions.definitions`).

    It is told while a change of them is applied, so no change of what they define is ever missed.
    """

    resource: Resource  # of the defining objects

    def reset(self, bodies: Mapping[str, bytes]) -> None:
        """These are the definitions now, by name."""

    def apply(self, name: str, body: bytes | None) -> None:
        """A definition changed, or is gone."""

    def cached(self) -> Iterable[Resource]:
        """One resource of each kind that is defined now."""


class WatchCache:
    """The cache of one apiserver."""

    def __init__(
        self,
        store: Store,
        resources: Sequence[Resource],
        *,
        rng: random.Random,
        definer: Definer | None = None,
        config: WatchCacheConfig | None = None,
    ) -> None:
        self.config = config or WatchCacheConfig()
        self.revision = 0
        self.filled = asyncio.Event()
        self.is_progress_sound = False  # set from the store's version: early etcds announce progress too soon
        self._store = store
        self._rng = rng
        self._resources = tuple(resources)
        self._definer = definer
        self._kinds: dict[str, KindCache] = {}
        self._stream: StoreWatch | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._reset(0)

    def kind(self, resource: Resource) -> KindCache:
        """The cache of one kind. Raises StatusError NotFound if its definition is gone."""
        kind = self._kinds.get(resource.storage_prefix)
        if kind is None:
            raise errors.unknown_path()
        return kind

    async def run(self) -> None:
        """Follow the store until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bookmark())
            await self._follow_for_ever()

    async def reach(self, revision: int, timeout_s: float) -> bool:
        """Wait until the cache is at `revision` or later; False if it is not in time."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        pause_s = self.config.progress_delay_s
        while self.revision < revision:
            left_s = deadline_s - loop.time()
            if left_s <= 0:
                return False
            future: asyncio.Future[None] = loop.create_future()
            waiting = (revision, future)
            self._waiting.append(waiting)
            try:
                async with asyncio.timeout(min(pause_s, left_s)):  # (wait_for of Python 3.11 swallows cancellations)
                    await future
            except TimeoutError:
                await self._request_progress()
                pause_s = self.config.progress_interval_s
            finally:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
        return True

    def counts(self) -> dict[str, int]:
        """How many objects there are, by resource."""
        return {
            errors.qualified(kind.resource.plural, kind.resource.group): len(kind.entries)
            for kind in self._kinds.values()
        }

    def end_watches(self) -> None:
        """End every watch quietly, with a last bookmark: its client resumes elsewhere."""
        for watcher in list(self._watchers()):
            watcher.bookmark(self.revision)
            watcher.end()

    async def _follow_for_ever(self) -> None:
        backoff = Backoff(self._rng, first_s=0.02, max_s=0.3)
        while True:
            try:
                if not self.filled.is_set():
                    await self._fill()
                await self._follow(backoff)
                log.info("store watch ended", revision=self.revision)
            except StoreError as error:
                report = log.debug if backoff.attempts else log.warning  # Once per failure, not per attempt.
                report("store watch failed", revision=self.revision, error=str(error))
                if error.is_compacted:
                    self._expire()
            await sleep(backoff.next_s())

    async def _fill(self) -> None:
        """Read everything at one revision; definitions first, as they tell what the rest is."""
        start, revision = registry.ROOT, 0
        if self._definer:
            prefix = registry.prefix_of(self._definer.resource)
            found = await self._store.range(rpc.RangeRequest(key=prefix, range_end=registry.prefix_end(prefix)))
            revision = found.header.revision
            bodies = {kv.key[len(prefix) :].decode(): registry.splice(kv.value, kv.mod_revision) for kv in found.kvs}
            self._definer.reset(bodies)
            self._reset(0)
        entries: list[tuple[KindCache, str, Entry]] = []
        unreadable: list[tuple[KindCache, str]] = []
        while True:
            response = await self._store.range(
                rpc.RangeRequest(
                    key=start, range_end=registry.ROOT_END, limit=self.config.page_objects, revision=revision
                )
            )
            revision = revision or response.header.revision
            for kv in response.kvs:
                if place := self._place(kv.key):
                    kind, key = place
                    if entry := entry_of(kind.resource, key, kv.value, kv.mod_revision):
                        entries.append((kind, key, entry))
                    else:
                        unreadable.append((kind, key))
            if not response.more:
                break
            start = response.kvs[-1].key + b"\0"
        self._reset(revision)
        for kind, key, entry in entries:
            self._kinds[kind.resource.storage_prefix].entries[key] = entry
        for kind, key in unreadable:
            self._kinds[kind.resource.storage_prefix].unreadable.add(key)
        self._advance(revision)
        self.filled.set()
        log.info("watch cache filled", objects=len(entries), revision=revision)

    async def _follow(self, backoff: Backoff) -> None:
        """Apply the store's changes after `revision` until its watch ends."""
        self._stream = self._store.watch(
            rpc.WatchCreateRequest(
                key=registry.ROOT,
                range_end=registry.ROOT_END,
                start_revision=self.revision + 1,
                progress_notify=True,
            )
        )
        try:
            async for response in self._stream:
                if response.compact_revision:
                    raise StoreError("OUT_OF_RANGE", "mvcc: required revision has been compacted")
                if response.canceled:
                    raise StoreError("UNAVAILABLE", response.cancel_reason)
                if response.created:
                    backoff.reset()
                    continue
                self._apply(response)
        finally:
            stream, self._stream = self._stream, None
            await stream.close()

    def _apply(self, response: rpc.WatchResponse) -> None:
        for event in response.events:
            kv = event.kv
            assert kv.mod_revision > 0
            if kv.mod_revision <= self.revision:
                continue  # Never twice: a store that repeats itself must not make us go back.
            if place := self._place(kv.key):
                kind, key = place
                is_put = event.type == event.PUT
                entry = entry_of(kind.resource, key, kv.value, kv.mod_revision) if is_put else None
                kind.apply(key, entry, kv.mod_revision)
                if is_put and entry is None:
                    kind.unreadable.add(key)
                else:
                    kind.unreadable.discard(key)
                if self._definer and kind.resource is self._definer.resource:
                    self._definer.apply(key, entry.body if entry else None)
                    self._cover(kv.mod_revision)
        if response.events:
            # All events of one revision come in one response, so its last revision is complete.
            self._advance(response.events[-1].kv.mod_revision)
        elif self.is_progress_sound:
            self._advance(response.header.revision)

    def _advance(self, revision: int) -> None:
        if revision <= self.revision:
            return
        self.revision = revision
        for waiting in [each for each in self._waiting if each[0] <= revision]:
            self._waiting.remove(waiting)
            if not waiting[1].done():
                waiting[1].set_result(None)

    def _expire(self) -> None:
        """End every watch with 410 and start over."""
        self.filled.clear()
        for kind in self._kinds.values():
            kind.watchers.end_all(errors.expired(f"too old resource version: {self.revision} (compacted)"))

    def _reset(self, revision: int) -> None:
        self._kinds = {
            resource.storage_prefix: KindCache(resource, self.config.history_changes) for resource in self._resources
        }
        for kind in self._kinds.values():
            kind.oldest = revision
        self._cover(revision)

    def _cover(self, revision: int) -> None:
        """Have a cache for each kind that is defined, from `revision` on, and for no other."""
        defined = {each.storage_prefix: each for each in self._definer.cached()} if self._definer else {}
        for resource in self._resources:
            defined.pop(resource.storage_prefix, None)
        for prefix, resource in defined.items():
            if prefix in self._kinds:
                self._kinds[prefix].redefine(resource)
            else:
                self._kinds[prefix] = KindCache(resource, self.config.history_changes)
                self._kinds[prefix].oldest = revision
        for prefix, kind in list(self._kinds.items()):
            if kind.resource.custom and prefix not in defined:
                del self._kinds[prefix]
                for watcher in kind.watchers.all():
                    watcher.end()

    def _place(self, key: bytes) -> tuple[KindCache, str] | None:
        """The kind and `namespace/name` that a key of the store stands for; None for keys of no kind."""
        path = key[len(registry.ROOT) :].decode(errors="replace")
        # A storage prefix has one segment ("pods") or two ("services/specs").
        first, _, rest = path.partition("/")
        if kind := self._kinds.get(first):
            return kind, rest
        second, _, rest = rest.partition("/")
        if kind := self._kinds.get(f"{first}/{second}"):
            return kind, rest
        return None

    async def _request_progress(self) -> None:
        if self._stream and self.is_progress_sound:
            try:
                await self._stream.request_progress()
            except StoreError as error:
                log.debug("no progress requested", error=str(error))  # `_follow` sees the same failure.

    async def _bookmark(self) -> None:
        """Once a minute tell every watcher how far it is, so that it can resume from there."""
        while True:
            await sleep(self.config.bookmark_interval_s)
            await self._request_progress()
            for watcher in self._watchers():
                watcher.bookmark(self.revision)

    def _watchers(self) -> Iterator[Watcher]:
        for kind in self._kinds.values():
            yield from kind.watchers.all()


def too_large_revision(revision: int, current: int) -> StatusError:
    """The answer to a request for a revision the store has not reached."""
    cause = errors.Cause("ResourceVersionTooLarge", "Too large resource version")
    message = f"Timeout: Too large resource version: {revision}, current: {current}"
    return StatusError("Timeout", message, causes=[cause], retry_after_s=1)
