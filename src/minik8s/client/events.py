"""Events: what a component tells the users of an object ("FailedScheduling: 0/2 nodes are available").

`event` only puts a note in a queue; `run` writes it. As client-go's recorder: the same note again raises `count` on
the Event that says it, and each object may cause 25 writes at once and one every 5 minutes after. The queue holds
1,000 notes; when it is full, new ones are dropped and counted: an Event is never worth making its source wait.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from minik8s.api.core_v1 import EVENTS
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.kit.clock import Clock, timestamp
from minik8s.kit.log import get_logger

log = get_logger(__name__)

QUEUE_MAX = 1000
_REMEMBERED_MAX = 4096
_BURST = 25.0
_REFILL_PER_S = 1 / 300

NORMAL = "Normal"
WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be said; two equal notes are the same Event."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str
    component: str


class EventRecorder:
    """Writes Events as `component`."""

    def __init__(self, client: Client, component: str, *, clock: Clock, host: str = "") -> None:
        self._client = client
        self._component = component
        self._host = host
        self._clock = clock
        self._queue: asyncio.Queue[Note] = asyncio.Queue(QUEUE_MAX)
        self._written: OrderedDict[Note, tuple[str, int]] = OrderedDict()  # note → (name of its Event, count)
        self._budgets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # uid → (tokens, at)
        self._number = 0
        self.dropped = 0

    def event(self, obj: Any, type_: str, reason: str, message: str, *, component: str = "") -> None:
        """Say `reason: message` about `obj`, as NORMAL or WARNING; as `component`, if it is not the recorder's."""
        meta = obj.metadata
        note = Note(
            obj.apiVersion,
            obj.kind,
            meta.namespace or "",
            meta.name,
            meta.uid or "",
            type_,
            reason,
            message[:1024],
            component or self._component,
        )
        try:
            self._queue.put_nowait(note)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            note = await self._queue.get()
            if not self._may_write(note.uid):
                self.dropped += 1
                continue
            try:
                await self._write(note)
            except StatusError as error:
                # As upstream, an Event that cannot be written is given up: the namespace may be gone.
                log.debug("event not written", reason=note.reason, object=note.name, error=error.message)

    def _may_write(self, uid: str) -> bool:
        now_s = self._clock.monotonic_s()
        tokens, at_s = self._budgets.pop(uid, (_BURST, now_s))
        tokens = min(_BURST, tokens + (now_s - at_s) * _REFILL_PER_S)
        allowed = tokens >= 1
        self._budgets[uid] = (tokens - 1 if allowed else tokens, now_s)
        if len(self._budgets) > _REMEMBERED_MAX:
            self._budgets.popitem(last=False)
        return allowed

    async def _write(self, note: Note) -> None:
        now = timestamp(self._clock)
        namespace = note.namespace or "default"
        seen = self._written.pop(note, None)
        if seen is not None:
            name, count = seen
            try:
                patch = {"count": count + 1, "lastTimestamp": now}
                await self._client.patch(EVENTS, name, patch, namespace=namespace)
                self._remember(note, name, count + 1)
                return
            except StatusError as error:
                if error.reason != "NotFound":  # its hour is over: begin anew
                    raise
        # As upstream, the time in the name keeps it unique; two of one moment must differ too.
        self._number = max(self._number + 1, int(self._clock.now_s() * 1e9))
        name = f"{note.name}.{self._number:x}"
        await self._client.create(EVENTS, self._document(note, name, namespace, now))
        self._remember(note, name, 1)

    def _remember(self, note: Note, name: str, count: int) -> None:
        self._written[note] = (name, count)
        if len(self._written) > _REMEMBERED_MAX:
            self._written.popitem(last=False)

    def _document(self, note: Note, name: str, namespace: str, now: str) -> dict[str, Any]:
        involved = {"kind": note.kind, "name": note.name, "uid": note.uid, "apiVersion": note.api_version}
        if note.namespace:
            involved["namespace"] = note.namespace
        source = {"component": note.component} | ({"host": self._host} if self._host else {})
        return {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": involved,
            "reason": note.reason,
            "message": note.message,
            "type": note.type,
            "source": source,
            "reportingComponent": note.component,
            "reportingInstance": self._host,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
