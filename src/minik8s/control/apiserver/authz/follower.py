"""What changed in some kinds of the watch cache since one last looked. Called by `rbac` and `node_graph`.

Whoever judges by cached objects builds an index of its own and brings it up to date when asked, in the same breath:
no task, no queue, and an answer is never older than the cache.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from minik8s.api.errors import StatusError
from minik8s.control.apiserver.kindcache import KindCache
from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.watchcache import WatchCache
from minik8s.control.apiserver.watchers import Entry
from minik8s.kit.log import get_logger

log = get_logger(__name__)

Apply = Callable[[Entry | None, Entry | None], None]  # (after, before), one of them not None


class Follower:
    """Hands changes of kinds to functions, in each kind's order. Between kinds there is no order."""

    def __init__(self, cache: WatchCache, kinds: Sequence[tuple[Resource, Apply]]) -> None:
        self._cache = cache
        self._kinds = [_Kind(resource, apply) for resource, apply in kinds]
        self._revision = -1
        self._first: KindCache | None = None

    def catch_up(self) -> None:
        """Apply what happened since."""
        first = self._cache.kind(self._kinds[0].resource)
        if self._revision == self._cache.revision and first is self._first:
            return
        self._revision, self._first = self._cache.revision, first
        for kind in self._kinds:
            kind.catch_up(self._cache)


class _Kind:
    def __init__(self, resource: Resource, apply: Apply) -> None:
        self.resource = resource
        self._apply = apply
        self._cached: KindCache | None = None
        self._revision = 0
        self._seen: dict[tuple[str, str], Entry] = {}

    def catch_up(self, cache: WatchCache) -> None:
        cached = cache.kind(self.resource)
        newest = cached.history[-1].revision if cached.history else cached.oldest
        if cached is self._cached and newest <= self._revision:
            return
        changes = None
        if cached is self._cached:
            with suppress(StatusError):  # More happened than the cache remembers.
                changes = cached.since(self._revision)
        self._cached, self._revision = cached, newest
        if changes is None:
            self._compare(cached)
        else:
            for change in changes:
                self._set(change.after, change.after or change.before)

    def _compare(self, cached: KindCache) -> None:
        """The cache was filled anew, or has forgotten: look at everything."""
        current = {(entry.namespace, entry.name): entry for entry in cached.entries.values()}
        for gone in [entry for key, entry in self._seen.items() if key not in current]:
            self._set(None, gone)
        for entry in current.values():
            self._set(entry, entry)

    def _set(self, after: Entry | None, either: Entry | None) -> None:
        assert either is not None
        key = (either.namespace, either.name)
        before = self._seen.pop(key, None)
        if after is not None:
            self._seen[key] = after
        if after is None and before is None:
            return
        try:
            self._apply(after, before)
        except msgspec.DecodeError as error:  # Somebody wrote to the store past us; it must not spoil the rest.
            log.error("ignoring what cannot be read", kind=self.resource.kind, key=key, error=str(error))
