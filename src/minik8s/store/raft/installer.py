"""A snapshot's way from a leader to a member that is too far behind for the log.

The leader sends the bytes of its snapshot file in chunks, a few ahead of the follower's acknowledgements and no faster
than a rate, beside Raft's own messages, so heartbeats and everybody else's writes go on. The follower writes them to a
file, checks all of it, makes it durable, and only then changes log and state at one stroke; the acknowledgement waits
until the log says so on disk. A crash anywhere before leaves the member as it was.
"""

import asyncio
from collections.abc import Awaitable, Callable

from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.disk import Disk, SnapshotDraft
from minik8s.store.raft.errors import LogCorrupt
from minik8s.store.raft.messages import Chunk, ChunkAck, Message
from minik8s.store.raft.snapshots import Header

log = get_logger(__name__)


class Sender:
    """Leader's side: one task per follower that needs it."""

    def __init__(self, config: RaftConfig, disk: Disk, clock: Clock, send: Callable[[str, Message], None]) -> None:
        self._config = config
        self._disk = disk
        self._clock = clock
        self._send = send
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._acks: dict[str, asyncio.Queue[ChunkAck]] = {}
        self._indexes: dict[str, int] = {}

    def oldest(self) -> int | None:
        """The earliest snapshot that is under way: the log after it must stay."""
        return min(self._indexes.values(), default=None)

    def start(self, group: asyncio.TaskGroup, peer: str, term: int, is_wanted: Callable[[], bool]) -> None:
        """Send `peer` our snapshot, unless that is under way, as long as it is wanted."""
        if peer not in self._tasks:
            self._tasks[peer] = group.create_task(self._send_to(peer, term, is_wanted))

    def on_ack(self, peer: str, ack: ChunkAck) -> None:
        if queue := self._acks.get(peer):
            queue.put_nowait(ack)

    async def _send_to(self, peer: str, term: int, is_wanted: Callable[[], bool]) -> None:
        reader = self._disk.reader()
        try:
            if reader:
                self._acks[peer] = asyncio.Queue()
                self._indexes[peer] = reader.header.index
                log.info("sends a snapshot", member=self._config.name, to=peer, index=reader.header.index)
                await self._stream(peer, term, reader.header, reader.read, is_wanted)
        finally:
            if reader:
                reader.close()
            self._acks.pop(peer, None)
            self._indexes.pop(peer, None)
            del self._tasks[peer]

    async def _stream(
        self,
        peer: str,
        term: int,
        header: Header,
        read: Callable[[int, int], Awaitable[bytes]],
        is_wanted: Callable[[], bool],
    ) -> None:
        """Go on until the follower has it, as seen in `is_wanted`: its Raft acknowledgement ends the need."""
        size = self._config.install_chunk_bytes
        sent = acknowledged = 0
        is_at_end = False
        while is_wanted():
            if is_at_end or sent - acknowledged >= size * self._config.install_chunks_ahead:
                try:
                    async with asyncio.timeout(self._config.install_retry_s):
                        ack = await self._acks[peer].get()
                except TimeoutError:
                    # Something was lost: from where the follower is.
                    sent, is_at_end = acknowledged, False
                    continue
                if (ack.term, ack.index) == (term, header.index):
                    if ack.next_offset < acknowledged:
                        # It began anew.
                        sent, is_at_end = ack.next_offset, False
                    acknowledged = ack.next_offset
                continue
            while not self._acks[peer].empty():
                ack = self._acks[peer].get_nowait()
                if (ack.term, ack.index) == (term, header.index):
                    acknowledged = max(acknowledged, ack.next_offset)
            data = await read(sent, size)
            self._send(peer, Chunk(term, header.index, header.term, sent, data))
            sent += len(data)
            is_at_end = not data
            await asyncio.sleep(len(data) / self._config.install_bytes_per_s)


class Receiver:
    """Follower's side: `install` changes log and state, once the file is whole and durable."""

    def __init__(
        self,
        config: RaftConfig,
        disk: Disk,
        send: Callable[[str, Message], None],
        install: Callable[[str, Header], None],
    ) -> None:
        self._config = config
        self._disk = disk
        self._send = send
        self._install = install
        self._chunks: asyncio.Queue[tuple[str, Chunk]] = asyncio.Queue()

    def on_chunk(self, peer: str, chunk: Chunk) -> None:
        """Queued at most a few: the leader waits for acknowledgements; what a confused one sends beyond is dropped."""
        if self._chunks.qsize() < 4 * self._config.install_chunks_ahead:
            self._chunks.put_nowait((peer, chunk))

    async def run(self) -> None:
        """Take chunks until cancelled. Raises LogWriteFailed."""
        draft: SnapshotDraft | None = None
        source: tuple[str, int, int, int] | None = None
        done: tuple[int, int] | None = None
        offset = 0
        try:
            while True:
                peer, chunk = await self._chunks.get()
                origin = (peer, chunk.term, chunk.index, chunk.snapshot_term)
                if done == (chunk.index, chunk.snapshot_term):
                    # The end came twice; the leader will hear of it by Raft's own acknowledgement.
                    continue
                if origin != source or draft is None:
                    if chunk.offset:
                        # We were restarted, or another leader came: from the start.
                        self._send(peer, ChunkAck(chunk.term, chunk.index, 0))
                        continue
                    if draft:
                        draft.close()
                    draft, source, offset = self._disk.draft("received"), origin, 0
                if chunk.offset == offset:
                    if not chunk.data:
                        if await self._finish(peer, draft):
                            done = (chunk.index, chunk.snapshot_term)
                        else:
                            self._send(peer, ChunkAck(chunk.term, chunk.index, 0))
                        draft.close()
                        draft = source = None
                        continue
                    await draft.write(chunk.data)
                    offset += len(chunk.data)
                self._send(peer, ChunkAck(chunk.term, chunk.index, offset))
        finally:
            if draft:
                draft.close()

    async def _finish(self, peer: str, draft: SnapshotDraft) -> bool:
        try:
            header = await draft.check()
        except LogCorrupt as error:
            log.warning("received a damaged snapshot, waits for another", member=self._config.name, why=str(error))
            return False
        await draft.keep(header)
        self._install(peer, header)
        return True
