"""When and how a member takes snapshots of its own state, and drops the log before them.

No fork and no copy: the machine pins its state and gives it in chunks, which are framed and written between other
work, in slices that leave the event loop free most of the time. Members take turns: each has its own place in the
distance that the log grows from one snapshot to the next, so no two are busy with one at the same time.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.disk import Disk
from minik8s.store.raft.journal import Journal
from minik8s.store.raft.snapshots import Framer, Header

log = get_logger(__name__)


class Pinnable(Protocol):
    """The machine, as far as it matters here."""

    def snapshot(self) -> Iterator[bytes]:
        """The state as it is at the call."""


class Keeper:
    """Of one member. `sending` tells the oldest snapshot index that is on its way to a follower."""

    def __init__(
        self,
        config: RaftConfig,
        journal: Journal,
        disk: Disk,
        machine: Pinnable,
        clock: Clock,
        *,
        snapshot_index: int,
        sending: Callable[[], int | None],
    ) -> None:
        self._config = config
        self._journal = journal
        self._disk = disk
        self._machine = machine
        self._clock = clock
        self._sending = sending
        self._snapshot_index = snapshot_index
        self._applied_bytes = 0
        self._due = asyncio.Event()

    def applied(self, index: int, size_bytes: int) -> None:
        """An entry was applied: it may be time."""
        self._applied_bytes += size_bytes
        if index >= self._next_index() or self._applied_bytes >= self._config.snapshot_bytes * (1 + self._share()):
            self._due.set()

    def installed(self, index: int) -> None:
        """A leader's snapshot is current."""
        self._snapshot_index = index
        self._applied_bytes = 0

    async def run(self, applied_index: Callable[[], int]) -> None:
        """Take snapshots until cancelled. Raises LogWriteFailed."""
        while True:
            await self._due.wait()
            self._due.clear()
            index = applied_index()
            if index > self._snapshot_index:
                await self._take(index)

    def _share(self) -> float:
        """This member's place among all, from 0 to 1."""
        names = sorted(self._journal.configuration.members)
        name = self._config.name
        return names.index(name) / len(names) if name in names else 0.0

    def _next_index(self) -> int:
        """The first of this member's turns after its last snapshot: a multiple of the distance, and its share."""
        distance = self._config.snapshot_entries
        turn = int(distance * self._share())
        return ((self._snapshot_index - turn) // distance + 1) * distance + turn

    async def _take(self, index: int) -> None:
        begun_s = self._clock.monotonic_s()
        self._applied_bytes = 0
        header = Header(index, self._journal.term_at(index), self._journal.configuration_at(index))
        chunks = self._machine.snapshot()
        size_bytes = await self._write(header, chunks)
        if self._snapshot_index >= index:
            return
        self._snapshot_index = index
        log.info(
            "took a snapshot",
            member=self._config.name,
            index=index,
            size_bytes=size_bytes,
            took_s=round(self._clock.monotonic_s() - begun_s, 3),
        )
        sending = self._sending()
        keep_from = min(index - self._config.keep_entries, index if sending is None else sending)
        if keep_from > self._journal.first_index:
            self._journal.compact(keep_from)
            await self._disk.drop(keep_from)

    async def _write(self, header: Header, chunks: Iterator[bytes]) -> int:
        framer = Framer()
        draft = self._disk.draft("own")
        size_bytes = 0
        try:
            data = framer.header(header)
            while data:
                await draft.write(data)
                size_bytes += len(data)
                begun_s = self._clock.monotonic_s()
                chunk = next(chunks, None)
                data = framer.chunk(chunk) if chunk is not None else b""
                busy_s = self._clock.monotonic_s() - begun_s
                await asyncio.sleep(busy_s * (1 / self._config.snapshot_duty - 1))
            await draft.write(framer.end())
            await draft.keep(header)
        finally:
            draft.close()
        return size_bytes
