"""The audit log at work: asks the policy, queues notes, writes them off the hot path.

Called by `calls` around every request of either face. The queue holds `notes_max` notes or `bytes_max` bytes; when it
is full, requests wait for room (`room`), as with kube-apiserver's blocking mode: nothing is done unwritten. If the
file cannot be written (disk full), the lines are lost, counted and told, and requests go on.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter

from minik8s.control.apiserver.audit.event import Note, Origin, encode
from minik8s.control.apiserver.audit.file import AuditFile, FileConfig
from minik8s.control.apiserver.audit.policy import LEVEL_NAMES, Level, Policy, Ruling
from minik8s.control.apiserver.authz.attributes import Attributes
from minik8s.kit.clock import Clock, micro_timestamp
from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError

log = get_logger(__name__)

_BATCH_NOTES = 200


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """What is written, and where to."""

    policy: Policy
    file: FileConfig
    notes_max: int = 10_000
    bytes_max: int = 64 * 1024 * 1024


@dataclass(slots=True)
class Trail:
    """One request under audit: what its notes have in common. The bodies are filled in as they become known."""

    audit_id: str
    ruling: Ruling
    attributes: Attributes
    origin: Origin
    received: str
    request_body: bytes = b""
    content_type: str = ""
    response_body: bytes = b""
    status: dict[str, object] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)  # the call's, which others add to

    @property
    def wants_request(self) -> bool:
        """Whether the body sent is written."""
        return self.ruling.level >= Level.REQUEST

    @property
    def wants_response(self) -> bool:
        """Whether the body answered is written."""
        return self.ruling.level >= Level.REQUEST_RESPONSE


class AuditLog:
    """The log of one apiserver."""

    def __init__(self, config: AuditConfig, registry: CollectorRegistry, *, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._file = AuditFile(config.file)
        self._queue: deque[Note] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._ends = False
        self._written = Counter("apiserver_audit_event_total", "Events written to the audit log.", registry=registry)
        self._levels = Counter("apiserver_audit_level_total", "Requests by audit level.", ("level",), registry=registry)
        self._failed = Counter(
            "apiserver_audit_error_total", "Events that could not be written.", ("plugin",), registry=registry
        )

    def begin(self, attributes: Attributes, origin: Origin, audit_id: str) -> Trail | None:
        """Follow a request; None if the policy does not care."""
        ruling = self._config.policy.decide(attributes)
        self._levels.labels(LEVEL_NAMES[ruling.level]).inc()
        if ruling.level is Level.NONE:
            return None
        return Trail(audit_id, ruling, attributes, origin, micro_timestamp(self._clock))

    async def room(self) -> None:
        """Wait until there is room for another request's notes."""
        await self._has_room.wait()

    def note(self, trail: Trail, stage: str, code: int = 0) -> None:
        """Queue one stage of a request."""
        if stage in trail.ruling.omit_stages:
            return
        is_early = stage == "RequestReceived"  # When nothing but the request's line was known.
        note = Note(
            trail.audit_id,
            stage,
            trail.ruling,
            trail.attributes,
            trail.origin,
            trail.received,
            micro_timestamp(self._clock),
            code,
            trail.status,
            b"" if is_early else trail.request_body,
            trail.content_type,
            b"" if is_early else trail.response_body,
            dict(trail.annotations),
        )
        self._queue.append(note)
        self._bytes += note.size_bytes
        self._filled.set()
        if len(self._queue) >= self._config.notes_max or self._bytes >= self._config.bytes_max:
            self._has_room.clear()

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write within the block, and at its end what is left. Raises StartError if the file cannot be opened."""
        try:
            await asyncio.to_thread(self._file.open)
        except OSError as error:
            raise StartError(f"cannot write the audit log {self._config.file.path}: {error.strerror}") from error
        writer = asyncio.ensure_future(self._write())
        try:
            yield
        finally:
            self._ends = True
            self._filled.set()
            await writer
            self._file.close()

    async def _write(self) -> None:
        while not self._ends or self._queue:
            await self._filled.wait()
            await self._write_batch()
            if not self._queue and not self._ends:
                self._filled.clear()

    async def _write_batch(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(_BATCH_NOTES, len(self._queue)))]
        if not batch:
            return
        now_s = self._clock.now_s()
        try:
            await asyncio.to_thread(lambda: self._file.write(b"".join(map(encode, batch)), now_s))
            self._written.inc(len(batch))
        except (OSError, ValueError, TypeError) as error:  # The writer must live on: requests wait for it.
            self._failed.labels("log").inc(len(batch))
            log.error("audit events are lost", count=len(batch), path=self._config.file.path, error=str(error))
        finally:
            self._bytes -= sum(note.size_bytes for note in batch)
            self._has_room.set()
