"""get, list and watch: which revision answers, from the cache or from the store.

Called by `handler`. A get or list is served from the cache once that has reached the revision the
client may expect (unset: the store's newest at the time of the call, so lists are linearizable; N: at least N; 0: any),
and from the store when it continues at a revision or the cache cannot catch up. A watch is served from the cache.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request, Response, WatchEvent
from minik8s.api.selectors import Fields, parse_fields, parse_labels
from minik8s.control.apiserver.history import History, too_old
from minik8s.control.apiserver.joined import JoinedRead
from minik8s.control.apiserver.kindcache import KindCache
from minik8s.control.apiserver.listoptions import NEWEST, Token, parse_list, parse_revision, parse_watch
from minik8s.control.apiserver.registry import Page, Registry, Stored, key_of, prefix_of
from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.watchcache import WatchCache, too_large_revision
from minik8s.control.apiserver.watchers import INDEXED_FIELDS, Change, Entry, Selection, Watcher, bookmark_event

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_TOO_LARGE_TIMEOUT_S = 3.0  # as upstream: how long a revision of the future is waited for
_NO_PROGRESS_TIMEOUT_S = 0.5
_GET_PATIENCE_S = 0.004  # longer than the store takes to tell a change it has answered
_FILL_TIMEOUT_S = 10.0
_WATCH_TIMEOUT_S_MAX = 7 * 24 * 3600  # beyond it, timers overflow
_PAGE_OBJECTS_MIN = 500  # read at once where a selector may pass few of them
_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)
_SETTLE_S = 1.0


class Reader:
    """Reads for one apiserver."""

    def __init__(self, registry: Registry, cache: WatchCache, *, rng: random.Random) -> None:
        self._registry = registry
        self._cache = cache
        self._newest = JoinedRead(registry.current_revision)
        self._history = History(registry.store)
        self._rng = rng

    async def settle(self, revision: int) -> None:
        """Wait until the cache has a write, for a moment: what is decided by the cache is then decided by it."""
        await self._cache.reach(revision, _SETTLE_S)

    async def get(self, resource: Resource, request: Request) -> Response:
        """One object. Raises StatusError NotFound."""
        # The store's revision, shared with others who ask now, costs less than the object; the cache mostly is there.
        revision = parse_revision(request.query)
        if await (self._is_newest() if revision is None else self._catch_up(revision)):
            entry = self._cache.kind(resource).find(request.namespace, request.name)
            if entry is None:
                raise errors.not_found(resource.plural, resource.group, request.name)
            return Response(entry.body, entry.revision)
        stored = await self.stored(resource, request.namespace, request.name)
        return Response(stored.body, stored.revision)

    async def stored(self, resource: Resource, namespace: str, name: str) -> Stored:
        """The same, as the pipeline wants it."""
        stored = await self._registry.get(key_of(resource, namespace, name))
        if stored is None:
            raise errors.not_found(resource.plural, resource.group, name)
        return stored

    async def list(self, resource: Resource, request: Request) -> Response:
        """A list document."""
        selection = _selection(resource, request)
        options = parse_list(request.query)
        if token := options.token:
            if selection.namespace and not token.start.startswith(f"{selection.namespace}/"):
                # Else a token of one's own making would read what lies between two namespaces.
                raise errors.bad_request(f"invalid continue token: continue key is not valid: {token.start}")
            return await self._list_store(resource, selection, token, options.limit)
        if options.is_exact:
            assert options.revision
            return await self._list_exactly(resource, selection, options.revision, options.limit)
        if not await self._catch_up(options.revision):
            return await self._list_store(resource, selection, Token(0, ""), options.limit)
        # As upstream, "any revision" is a list for a cache, which wants it whole.
        return self._list_cache(resource, selection, 0 if options.revision == 0 else options.limit)

    async def watch(self, resource: Resource, request: Request) -> Watcher:
        """An open watch. Raises StatusError Expired when history does not reach back to its revision."""
        selection = _selection(resource, request)
        options = parse_watch(request.query)
        replays = options.initial_events if options.initial_events is not None else not options.revision
        if not await self._catch_up(options.revision):
            raise errors.service_unavailable("the apiserver has not caught up with the store")
        is_resumed = bool(options.revision) and not replays
        older, known = await self._older(resource, options.revision or 0) if is_resumed else ([], 0)
        # No await between here and the registration of the watcher: it must miss nothing and see nothing twice.
        kind = self._cache.kind(resource)
        now = self._cache.revision
        if replays:
            after = now
            end = INITIAL_EVENTS_END if options.initial_events and options.wants_bookmarks else ""
            backlog = _initial_events(list(self._select(kind, selection)), resource, now, end)
        else:
            after = max(options.revision or 0, now)
            changes = [*older, *kind.since(known)] if is_resumed else []
            backlog = iter([event for change in changes if (event := change.seen_as(selection))])
        watcher = Watcher(
            kind.watchers,
            selection,
            after=after,
            backlog=backlog,
            wants_bookmarks=options.wants_bookmarks,
            kind=resource.kind,
            api_version=resource.api_version,
            newest=self,
        )
        # As upstream: half an hour to an hour, so that clients spread over apiservers again.
        watcher.end_after(min(options.timeout_s, _WATCH_TIMEOUT_S_MAX) or self._rng.uniform(1800, 3600))
        return watcher

    @property
    def revision(self) -> int:
        """How far the cache is."""
        return self._cache.revision

    async def reached(self) -> int:
        """The cache's revision once it has reached the store's newest."""
        await self._cache.reach(await self._newest.get(), _TOO_LARGE_TIMEOUT_S)
        return self._cache.revision

    async def _older(self, resource: Resource, revision: int) -> tuple[Sequence[Change], int]:
        """Changes after `revision` that the cache does not know, and the revision up to which these are all."""
        oldest = self._cache.kind(resource).oldest
        if revision >= oldest:
            return [], revision
        if not self._cache.is_progress_sound:
            # An early etcd says that a watch is complete, or not compacted, before it has looked (etcd issue 15220).
            raise too_old(revision, oldest)
        return await self._history.changes(resource, revision, oldest), oldest

    async def _is_newest(self) -> bool:
        """Whether the cache has all that was written before this call, or has it at once; if not, ask the store."""
        if not self._cache.filled.is_set():
            return False
        wanted = await self._newest.get()
        return await self._cache.reach(wanted, _GET_PATIENCE_S) and self._cache.filled.is_set()

    async def _catch_up(self, revision: int | None) -> bool:
        """Bring the cache to what `resourceVersion` asks for; False if the store must answer instead."""
        wanted = await self._newest.get() if revision is None else revision
        while True:
            await self._wait_until_filled()
            is_reached = await self._cache.reach(wanted, self._patience_s(revision))
            if self._cache.filled.is_set():  # If not, it is being filled anew: what it was does not count.
                break
        if revision is not None and not is_reached:
            raise too_large_revision(wanted, self._cache.revision)
        return is_reached

    def _patience_s(self, revision: int | None) -> float:
        """How long to wait for the cache: not long where the store would answer, and progress cannot be asked for."""
        is_told = revision is not None or self._cache.is_progress_sound
        return _TOO_LARGE_TIMEOUT_S if is_told else _NO_PROGRESS_TIMEOUT_S

    async def _wait_until_filled(self) -> None:
        try:
            async with asyncio.timeout(_FILL_TIMEOUT_S):
                await self._cache.filled.wait()
        except TimeoutError:
            raise errors.service_unavailable("the apiserver has not read the store yet") from None

    def _select(self, kind: KindCache, selection: Selection) -> Iterable[Entry]:
        return (entry for entry in kind.select(selection.namespace) if selection.matches(entry))

    def _list_cache(self, resource: Resource, selection: Selection, limit: int) -> Response:
        entries = list(self._select(self._cache.kind(resource), selection))
        revision = self._cache.revision
        bodies = [entry.body for entry in (entries[:limit] if limit else entries)]
        if len(bodies) == len(entries):
            return _list_response(resource, bodies, revision)
        last = entries[limit - 1]
        token = Token(revision, f"{last.namespace}/{last.name}" if resource.namespaced else last.name)
        remaining = 0 if _is_selective(selection) else len(entries) - limit
        return _list_response(resource, bodies, revision, token, remaining)

    async def _list_store(self, resource: Resource, selection: Selection, token: Token, limit: int) -> Response:
        """A page at one revision of the store's history."""
        prefix = prefix_of(resource, selection.namespace)
        start = prefix_of(resource) + token.start.encode() + b"\0" if token.start else b""
        bodies: list[bytes] = []
        revision = max(token.revision, 0)  # NEWEST is no revision of the store's.
        page_limit = max(limit, _PAGE_OBJECTS_MIN) if limit and _is_selective(selection) else limit
        while True:
            page = await self._page(prefix, start, page_limit, revision, token)
            revision = page.revision
            for stored in page.items:
                start = stored.key + b"\0"
                if not _is_selective(selection) or _matches(resource, stored, selection):
                    bodies.append(stored.body)
                    if limit and len(bodies) == limit:
                        break
            if not page.remaining or (limit and len(bodies) == limit):
                break
        last = start[len(prefix_of(resource)) : -1].decode()
        is_whole = not limit or len(bodies) < limit or (not page.remaining and start == page.items[-1].key + b"\0")
        if is_whole:
            return _list_response(resource, bodies, revision)
        remaining = 0 if _is_selective(selection) else page.remaining
        return _list_response(resource, bodies, revision, Token(revision, last), remaining)

    async def _list_exactly(self, resource: Resource, selection: Selection, revision: int, limit: int) -> Response:
        if revision > self._cache.revision and not await self._cache.reach(revision, _TOO_LARGE_TIMEOUT_S):
            raise too_large_revision(revision, self._cache.revision)
        return await self._list_store(resource, selection, Token(revision, ""), limit)

    async def _page(self, prefix: bytes, start: bytes, limit: int, revision: int, token: Token) -> Page:
        try:
            return await self._registry.page(prefix, start=start, limit=limit, revision=revision)
        except StatusError as error:
            if error.reason == "Expired" and token.start:
                # As upstream: whoever likes may go on with what there is now.
                again = errors.expired(_CONTINUE_EXPIRED)
                again.continue_token = Token(NEWEST, token.start).encode()
                raise again from error
            raise


def _initial_events(entries: list[Entry], resource: Resource, revision: int, end: str) -> Iterator[WatchEvent]:
    for entry in entries:
        yield WatchEvent("ADDED", entry.body, entry.revision)
    if end:
        yield bookmark_event(resource.kind, resource.api_version, revision, end)


def _list_response(
    resource: Resource, bodies: list[bytes], revision: int, token: Token | None = None, remaining: int = 0
) -> Response:
    metadata: dict[str, object] = {"resourceVersion": str(revision)}
    if token:
        metadata["continue"] = token.encode()
    if remaining:
        metadata["remainingItemCount"] = remaining
    head = f'{{"kind":"{resource.kind}List","apiVersion":"{resource.api_version}","metadata":'.encode()
    return Response(b'%b%b,"items":[%b]}' % (head, msgspec.json.encode(metadata), b",".join(bodies)), revision)


def _selection(resource: Resource, request: Request) -> Selection:
    labels = parse_labels(request.query.get("labelSelector", ""))
    fields = parse_fields(request.query.get("fieldSelector", ""), resource.field_names)
    if request.name:  # As upstream: it is what authorization went by, so nothing else may be selected.
        if fields and fields.required("metadata.name") != request.name:
            raise errors.bad_request("fieldSelector metadata.name doesn't match requested name")
        fields = fields or Fields((("metadata.name", True, request.name),))
    exact = next(((field, value) for field in INDEXED_FIELDS if (value := fields.required(field))), None)
    return Selection(request.namespace, labels or None, fields or None, exact)


def _is_selective(selection: Selection) -> bool:
    return selection.labels is not None or selection.fields is not None


def _matches(resource: Resource, stored: Stored, selection: Selection) -> bool:
    document = stored.document()
    metadata = document["metadata"]
    fields = {"metadata.name": metadata["name"], "metadata.namespace": metadata.get("namespace", "")}
    labels = metadata.get("labels") or {}
    entry = Entry(metadata.get("namespace", ""), metadata["name"], labels, fields | resource.fields(document), b"", 0)
    return selection.matches(entry)
