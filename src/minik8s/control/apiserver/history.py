"""Changes from before the watch cache's memory, read from the store's history.

Called by `reads` for a watch whose revision the cache no longer (or, in a restarted apiserver, not yet) knows, so that
a client goes on where it was instead of listing everything again. What the store has compacted is 410 Expired, and so
is what is too much: more than `changes_max` changes, or not read in `timeout_s`.
"""

import asyncio

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.control.apiserver import registry
from minik8s.control.apiserver.kindcache import entry_of
from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.storage import Store, StoreError
from minik8s.control.apiserver.watchers import Change, Entry
from minik8s.wire.etcd import rpc_pb2 as rpc

_CHANGES_MAX = 5_000
_READERS_MAX = 4
_TIMEOUT_S = 2.0
_PROGRESS_INTERVAL_S = 0.05


class History:
    """The past of one store."""

    def __init__(self, store: Store, *, changes_max: int = _CHANGES_MAX, timeout_s: float = _TIMEOUT_S) -> None:
        self._store = store
        self._changes_max = changes_max
        self._timeout_s = timeout_s
        self._readers = asyncio.Semaphore(_READERS_MAX)  # A crowd that comes back waits its turn.

    async def changes(self, resource: Resource, after: int, to: int) -> list[Change]:
        """Every change of a kind after one revision, to another. Raises StatusError Expired."""
        try:
            async with asyncio.timeout(self._timeout_s), self._readers:
                return await self._read(resource, after, to)
        except (TimeoutError, StoreError) as error:
            raise too_old(after, to) from error

    async def _read(self, resource: Resource, after: int, to: int) -> list[Change]:
        prefix = registry.prefix_of(resource)
        stream = self._store.watch(
            rpc.WatchCreateRequest(
                key=prefix, range_end=registry.prefix_end(prefix), start_revision=after + 1, prev_kv=True
            )
        )
        found: list[Change] = []
        asking = None
        try:
            async for response in stream:
                if response.compact_revision or response.canceled:
                    raise too_old(after, to)
                if response.created:
                    asking = asyncio.ensure_future(_ask_for_progress(stream))
                    continue
                for event in response.events:
                    if event.kv.mod_revision > to:
                        return found
                    found.append(_change(resource, prefix, event, after, to))
                if len(found) > self._changes_max:
                    raise too_old(after, to)
                if not response.events and response.header.revision >= to:
                    return found
        finally:
            if asking:
                asking.cancel()
            await stream.close()
        raise too_old(after, to)


async def _ask_for_progress(stream) -> None:  # type: ignore[no-untyped-def]
    """How a watch of something that did not change learns that nothing is missing."""
    while True:
        try:
            await stream.request_progress()
        except StoreError:
            return  # The stream itself tells.
        await asyncio.sleep(_PROGRESS_INTERVAL_S)


def _change(resource: Resource, prefix: bytes, event, after: int, to: int) -> Change:  # type: ignore[no-untyped-def]
    kv, revision = event.kv, event.kv.mod_revision
    key = kv.key[len(prefix) :].decode(errors="replace")
    is_put = event.type == event.PUT
    is_new = is_put and kv.create_revision == revision
    if not is_new and not event.prev_kv.value:
        raise too_old(after, to)  # What was before has been compacted: nobody can tell who saw it.
    before = None if is_new else _entry(resource, key, event.prev_kv.value, event.prev_kv.mod_revision, after, to)
    return Change(revision, _entry(resource, key, kv.value, revision, after, to) if is_put else None, before)


def _entry(resource: Resource, key: str, value: bytes, revision: int, after: int, to: int) -> Entry:
    entry = entry_of(resource, key, value, revision)
    if entry is None:
        raise too_old(after, to)
    return entry


def too_old(revision: int, oldest: int) -> StatusError:
    """410 in upstream's words."""
    return errors.expired(f"too old resource version: {revision} ({oldest})")
