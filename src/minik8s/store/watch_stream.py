"""One client's Watch stream: its watchers, and the encoded WatchResponses it is to be sent next, in order.

`create`, `cancel` and `request_progress` are what the client asks; `take` decides, without waiting, what goes out now
(at most one response per lagging watcher, so that none starves another); `next` waits for it. Replies to requests,
events and progress leave through the same queue: a progress reply at revision R follows every event up to R.

The queue of replies is filled by requests only; `is_full` tells the reader of requests to wait for the client.
"""

from asyncio import Event, sleep
from collections import deque
from collections.abc import Callable

from minik8s.store import encoding
from minik8s.store.errors import COMPACTED, EtcdError
from minik8s.store.mvcc import FROM_KEY
from minik8s.store.watch import Watcher, WatchHub
from minik8s.wire.etcd import rpc_pb2

_REPLIES_MAX = 128
_REVISIONS_PER_RESPONSE = 1000
_REVISIONS_PER_TURN = 10_000  # looked through before others get their turn; milliseconds
_RESPONSE_BYTES = 1 << 20
_TAKE_BYTES = 4 << 20
_ALL_WATCHERS = -1


class WatchStream:
    """An asynchronous iterator of encoded responses, for one reader. `header(revision)` encodes a response's header."""

    def __init__(self, hub: WatchHub, header: Callable[[int], bytes], *, fragment_bytes: int) -> None:
        self.requires_leader = False  # ended (`fail`) when the member has been without one for long
        self._hub = hub
        self._header = header
        self._fragment_bytes = fragment_bytes
        self._watchers: dict[int, Watcher] = {}
        self._next_id = 0
        self._behind: dict[Watcher, None] = {}  # in order of turn
        self._replies: deque[bytes] = deque()
        self._outgoing: deque[bytes] = deque()
        self._progress_wanted = False
        self._error: EtcdError | None = None
        self._closed = False
        self._ready = Event()
        self._drained = Event()
        self._drained.set()

    def create(self, request: rpc_pb2.WatchCreateRequest) -> None:
        """Start a watcher; a refusal is a reply, too."""
        key = request.key or FROM_KEY
        current = self._hub.mvcc.revision
        if request.range_end and request.range_end != FROM_KEY and key >= request.range_end:
            self._refuse("mvcc: watcher range is empty")
            return
        if request.start_revision < 0:
            self._refuse(COMPACTED.text)
            return
        watch_id = request.watch_id
        if watch_id and watch_id in self._watchers:
            self._refuse("mvcc: duplicate watch ID provided on the WatchStream")
            return
        if not watch_id:
            while self._next_id in self._watchers:
                self._next_id += 1
            watch_id, self._next_id = self._next_id, self._next_id + 1
        watcher = Watcher(
            watch_id,
            key,
            request.range_end,
            request.start_revision or current + 1,
            puts=rpc_pb2.WatchCreateRequest.NOPUT not in request.filters,
            deletes=rpc_pb2.WatchCreateRequest.NODELETE not in request.filters,
            prev_kv=request.prev_kv,
            progress_notify=request.progress_notify,
            fragment=request.fragment,
        )
        self._watchers[watch_id] = watcher
        self._reply(encoding.integer(2, watch_id) + encoding.integer(3, True))
        self._hub.add(watcher, self)

    def cancel(self, watch_id: int) -> None:
        """Stop a watcher. Unknown ids get no reply, as etcd."""
        if watcher := self._watchers.get(watch_id):
            self._drop(watcher)
            self._reply(encoding.integer(2, watch_id) + encoding.integer(4, True))

    def request_progress(self) -> None:
        """Have a progress reply sent once no watcher is behind; requests made before then share it."""
        self._progress_wanted = True
        self._ready.set()

    def tick(self) -> None:
        """Notify progress for the watchers that asked for it and have been idle since the last tick."""
        current = self._hub.mvcc.revision
        for watcher in self._watchers.values():
            if not watcher.progress_notify or watcher.is_behind or watcher.next_revision > current + 1:
                continue
            if watcher.is_idle and not self.is_full:
                self._reply(encoding.integer(2, watcher.id))
            watcher.is_idle = True

    def fail(self, error: EtcdError) -> None:
        """End the stream: the reader gets `error`."""
        self._error = error
        self._ready.set()

    def close(self) -> None:
        """End the stream: the reader sees its end. Idempotent."""
        self._closed = True
        for watcher in list(self._watchers.values()):
            self._drop(watcher)
        self._hub.forget(self)
        self._ready.set()
        self._drained.set()

    @property
    def is_full(self) -> bool:
        """Whether the client has left so many replies unread that its further requests must wait (`drained`)."""
        return len(self._replies) >= _REPLIES_MAX

    async def drained(self) -> None:
        """Wait until the stream is not full."""
        while self.is_full and not self._closed:
            self._drained.clear()
            await self._drained.wait()

    def __aiter__(self) -> "WatchStream":
        return self

    async def __anext__(self) -> bytes:
        """The next response. Raises StopAsyncIteration once closed, EtcdError once failed."""
        while not self._outgoing:
            if self._error:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            self._outgoing.extend(self.take())
            if self._outgoing:
                break
            if self._behind:
                # A long stretch of history without an event for anyone: let others run.
                await sleep(0)
                continue
            self._ready.clear()
            await self._ready.wait()
        return self._outgoing.popleft()

    def take(self) -> list[bytes]:
        """What is to be sent now: replies first, then one turn of each watcher that is behind, then progress."""
        responses = list(self._replies)
        self._replies.clear()
        self._drained.set()
        size_bytes = 0
        for watcher in list(self._behind):
            sent = self._turn(watcher)
            responses += sent
            size_bytes += sum(map(len, sent))
            if size_bytes > _TAKE_BYTES:
                break
        if self._progress_wanted and not self._behind:
            revision = self._hub.mvcc.revision
            if all(watcher.next_revision <= revision + 1 for watcher in self._watchers.values()):
                self._progress_wanted = False
                responses.append(self._response(encoding.integer(2, _ALL_WATCHERS)))
            else:
                # A watcher that starts in the future would be set back by it (etcd's issue 20221).
                self._hub.await_revision(self)
        return responses

    def lag(self, watcher: Watcher) -> None:
        self._behind[watcher] = None
        self._ready.set()

    def revision_committed(self, revision: int) -> None:
        self._ready.set()

    def _turn(self, watcher: Watcher) -> list[bytes]:
        """Read on in history for one watcher; it is no longer behind once it has reached the present."""
        mvcc = self._hub.mvcc
        if watcher.next_revision < mvcc.compact_revision:
            self._drop(watcher)
            fields = encoding.integer(4, True) + encoding.integer(5, mvcc.compact_revision)
            return [self._response(encoding.integer(2, watcher.id) + fields)]
        events: list[bytes] = []
        revisions, size_bytes = 0, 0
        revision = watcher.next_revision
        stop = min(mvcc.revision, revision + _REVISIONS_PER_TURN - 1)
        while revision <= stop and revisions < _REVISIONS_PER_RESPONSE and size_bytes < _RESPONSE_BYTES:
            found = [
                self._hub.event(record, prev_kv=watcher.prev_kv)
                for record in mvcc.batch(revision)
                if watcher.wants(record)
            ]
            if found:
                events += found
                revisions += 1
                size_bytes += sum(map(len, found))
            revision += 1
        watcher.next_revision = revision
        del self._behind[watcher]
        if revision <= mvcc.revision:
            self._behind[watcher] = None
        else:
            watcher.is_behind = False
        if not events:
            return []
        watcher.is_idle = False
        return self._event_responses(watcher, events, size_bytes)

    def _event_responses(self, watcher: Watcher, events: list[bytes], size_bytes: int) -> list[bytes]:
        watch_id = encoding.integer(2, watcher.id)
        if not watcher.fragment or size_bytes <= self._fragment_bytes:
            return [self._response(watch_id + b"".join(events))]
        parts: list[list[bytes]] = [[]]
        room = self._fragment_bytes
        for event in events:
            if parts[-1] and len(event) > room:
                parts.append([])
                room = self._fragment_bytes
            parts[-1].append(event)
            room -= len(event)
        *firsts, last = parts
        more = encoding.integer(7, True)
        return [
            *(self._response(watch_id + more + b"".join(part)) for part in firsts),
            self._response(watch_id + b"".join(last)),
        ]

    def _refuse(self, reason: str) -> None:
        fields = encoding.integer(2, -1) + encoding.integer(3, True) + encoding.integer(4, True)
        self._reply(fields + encoding.message(6, reason.encode()))

    def _reply(self, fields: bytes) -> None:
        self._replies.append(self._response(fields))
        self._ready.set()

    def _response(self, fields: bytes) -> bytes:
        return self._header(self._hub.mvcc.revision) + fields

    def _drop(self, watcher: Watcher) -> None:
        del self._watchers[watcher.id]
        self._behind.pop(watcher, None)
        self._hub.remove(watcher)
