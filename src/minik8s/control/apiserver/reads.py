"""get, list and watch: which revision answers, from the cache or from the store.

Called by `handler`. A get reads the store. A list is served from the cache once that has reached the revision the
client may expect (unset: the store's newest at the time of the call, so lists are linearizable; N: at least N; 0: any),
and from the store when it continues at a revision or the cache cannot catch up. A watch is served from the cache.
"""

import asyncio
import base64
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from minik8s.api import errors
from minik8s.api.errors import Cause, StatusError
from minik8s.api.request import Request, Response, WatchEvent
from minik8s.api.selectors import parse_fields, parse_labels
from minik8s.control.apiserver.registry import Page, Registry, Stored, key_of, prefix_of
from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.watchcache import KindCache, WatchCache, too_large_revision
from minik8s.control.apiserver.watchers import INDEXED_FIELDS, Entry, Selection, Watcher, bookmark_event

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_TOO_LARGE_TIMEOUT_S = 3.0  # as upstream: how long a revision of the future is waited for
_NO_PROGRESS_TIMEOUT_S = 0.5
_FILL_TIMEOUT_S = 10.0
_PAGE_OBJECTS_MIN = 500  # read at once where a selector may pass few of them
_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter."
)


@dataclass(frozen=True, slots=True)
class _Token:
    """A continue parameter: where the next page begins, and at which revision."""

    revision: int
    start: str  # `namespace/name` of the last object of the page before

    def encode(self) -> str:
        return (
            base64.urlsafe_b64encode(
                msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": self.revision, "start": self.start})
            )
            .decode()
            .rstrip("=")
        )


class _TokenDocument(msgspec.Struct):
    v: str
    rv: int
    start: str


def _decode_token(text: str) -> _Token:
    try:
        padded = text + "=" * (-len(text) % 4)
        document = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_TokenDocument)
    except (ValueError, msgspec.DecodeError):
        raise errors.bad_request("continue key is not valid") from None
    if document.v != "meta.k8s.io/v1" or document.rv <= 0:
        raise errors.bad_request(f"continue key is not valid: encoded version {document.v} is not recognized")
    return _Token(document.rv, document.start)


_SETTLE_S = 1.0


class Reader:
    """Reads for one apiserver."""

    def __init__(self, registry: Registry, cache: WatchCache, *, rng: random.Random) -> None:
        self._registry = registry
        self._cache = cache
        self._rng = rng

    async def settle(self, revision: int) -> None:
        """Wait until the cache has a write, for a moment: what is decided by the cache is then decided by it."""
        await self._cache.reach(revision, _SETTLE_S)

    async def get(self, resource: Resource, request: Request) -> Response:
        """One object. Raises StatusError NotFound."""
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
        limit = _integer(request.query, "limit")
        if token := request.query.get("continue"):
            if request.query.get("resourceVersion") not in (None, "", "0"):
                raise errors.bad_request("specifying resource version is not allowed when using continue")
            return await self._list_store(resource, selection, _decode_token(token), limit)
        revision = _revision(request.query)
        match = request.query.get("resourceVersionMatch", "")
        _check_match(match, request.query)
        if match == "Exact":
            return await self._list_store(resource, selection, _Token(revision, ""), limit)
        if not await self._catch_up(request.query.get("resourceVersion", "")):
            return await self._list_store(resource, selection, _Token(0, ""), limit)
        # As upstream, "any revision" is a list for a cache, which wants it whole.
        return self._list_cache(resource, selection, 0 if request.query.get("resourceVersion") == "0" else limit)

    async def watch(self, resource: Resource, request: Request) -> Watcher:
        """An open watch. Raises StatusError Expired when history does not reach back to its revision."""
        query = request.query
        selection = _selection(resource, request)
        bookmarks = _is_true(query.get("allowWatchBookmarks", ""))
        initial = query.get("sendInitialEvents", "")
        match = query.get("resourceVersionMatch", "")
        _check_initial_events(initial, match, bookmarks)
        text = query.get("resourceVersion", "")
        revision = _revision(query)
        replays = _is_true(initial) if initial else text in ("", "0")
        if not await self._catch_up(text):
            raise errors.service_unavailable("the apiserver has not caught up with the store")
        kind = self._cache.kind(resource)
        # No await between here and the registration of the watcher: it must miss nothing and see nothing twice.
        now = self._cache.revision
        if replays:
            after = now
            end = INITIAL_EVENTS_END if _is_true(initial) else ""
            backlog = _initial_events(list(self._select(kind, selection)), resource, now, end)
        else:
            after = max(revision, now) if text not in ("", "0") else now
            changes = kind.since(revision) if text not in ("", "0") else []
            backlog = iter([event for change in changes if (event := change.seen_as(selection))])
        watcher = Watcher(
            kind.watchers,
            selection,
            after=after,
            backlog=backlog,
            wants_bookmarks=bookmarks,
            kind=resource.kind,
            api_version=resource.api_version,
            newest=self,
        )
        # As upstream: half an hour to an hour, so that clients spread over apiservers again.
        timeout_s = _integer(query, "timeoutSeconds") or self._rng.uniform(1800, 3600)
        watcher.end_after(timeout_s)
        return watcher

    @property
    def revision(self) -> int:
        """How far the cache is."""
        return self._cache.revision

    async def reached(self) -> int:
        """The cache's revision once it has reached the store's newest."""
        await self._cache.reach(await self._registry.current_revision(), _TOO_LARGE_TIMEOUT_S)
        return self._cache.revision

    async def _catch_up(self, revision: str) -> bool:
        """Bring the cache to what `resourceVersion` asks for; False if the store must answer instead."""
        wanted = int(revision) if revision else await self._registry.current_revision()
        while True:
            await self._wait_until_filled()
            is_reached = await self._cache.reach(wanted, self._patience_s(revision))
            if self._cache.filled.is_set():  # If not, it is being filled anew: what it was does not count.
                break
        if revision and not is_reached:
            raise too_large_revision(wanted, self._cache.revision)
        return is_reached

    def _patience_s(self, revision: str) -> float:
        """How long to wait for the cache: not long where the store would answer, and progress cannot be asked for."""
        return _TOO_LARGE_TIMEOUT_S if revision or self._cache.is_progress_sound else _NO_PROGRESS_TIMEOUT_S

    async def _wait_until_filled(self) -> None:
        try:
            await asyncio.wait_for(self._cache.filled.wait(), _FILL_TIMEOUT_S)
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
        token = _Token(revision, f"{last.namespace}/{last.name}" if resource.namespaced else last.name)
        remaining = 0 if _is_selective(selection) else len(entries) - limit
        return _list_response(resource, bodies, revision, token, remaining)

    async def _list_store(self, resource: Resource, selection: Selection, token: _Token, limit: int) -> Response:
        """A page at one revision of the store's history."""
        prefix = prefix_of(resource, selection.namespace)
        start = prefix_of(resource) + token.start.encode() + b"\0" if token.start else b""
        bodies: list[bytes] = []
        revision = token.revision
        page_limit = max(limit, _PAGE_OBJECTS_MIN) if limit and _is_selective(selection) else limit
        while True:
            page = await self._page(prefix, start, page_limit, revision, is_continued=bool(token.start))
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
        return _list_response(resource, bodies, revision, _Token(revision, last), remaining)

    async def _page(self, prefix: bytes, start: bytes, limit: int, revision: int, *, is_continued: bool) -> Page:
        try:
            return await self._registry.page(prefix, start=start, limit=limit, revision=revision)
        except StatusError as error:
            if error.reason == "Expired" and is_continued:
                raise errors.expired(_CONTINUE_EXPIRED) from error
            raise


def _initial_events(entries: list[Entry], resource: Resource, revision: int, end: str) -> Iterator[WatchEvent]:
    for entry in entries:
        yield WatchEvent("ADDED", entry.body, entry.revision)
    if end:
        yield bookmark_event(resource.kind, resource.api_version, revision, end)


def _list_response(
    resource: Resource, bodies: list[bytes], revision: int, token: _Token | None = None, remaining: int = 0
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
    name = request.name or fields.required("metadata.name")
    exact = next(((field, value) for field in INDEXED_FIELDS if (value := fields.required(field))), None)
    if request.name and not exact:
        exact = ("metadata.name", request.name)
        fields = parse_fields(f"metadata.name={name}")
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


def _revision(query: Mapping[str, str]) -> int:
    text = query.get("resourceVersion", "")
    if not text.isascii() or not (text or "0").isdigit():
        raise StatusError(
            "Invalid",
            f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax',
            code=400,
        )
    return int(text or "0")


def _integer(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    try:
        return max(int(text or "0"), 0)
    except ValueError:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _is_true(text: str) -> bool:
    return text in ("1", "true", "True", "TRUE", "t", "T")


def _check_match(match: str, query: Mapping[str, str]) -> None:
    """resourceVersionMatch of a list, as upstream's ValidateListOptions."""
    if not match:
        return
    if match not in ("Exact", "NotOlderThan"):
        supported = 'supported values: "Exact", "NotOlderThan"'
        raise _invalid_options(
            "resourceVersionMatch", "FieldValueNotSupported", f'Unsupported value: "{match}": {supported}'
        )
    text = query.get("resourceVersion", "")
    if not text:
        why = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise _invalid_options("resourceVersionMatch", "FieldValueForbidden", why)
    if match == "Exact" and text == "0":
        why = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        raise _invalid_options("resourceVersionMatch", "FieldValueForbidden", why)


def _check_initial_events(initial: str, match: str, bookmarks: bool) -> None:
    """sendInitialEvents of a watch, as upstream's ValidateWatchOptions."""
    if not initial:
        if match:
            why = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            raise _invalid_options("resourceVersionMatch", "FieldValueForbidden", why)
        return
    if match != "NotOlderThan":
        why = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise _invalid_options("resourceVersionMatch", "FieldValueForbidden", why)
    if _is_true(initial) and not bookmarks:
        why = "Forbidden: sendInitialEvents=true requires allowWatchBookmarks to be true"
        raise _invalid_options("allowWatchBookmarks", "FieldValueForbidden", why)


def _invalid_options(field: str, reason: str, message: str) -> StatusError:
    return errors.invalid("ListOptions", "meta.k8s.io", "", [Cause(reason, message, field)])
