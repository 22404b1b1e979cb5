"""Where a member keeps its log and its snapshot: a small protocol, and the one that stands on files.

The simulator has another, which forgets what was not synced.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from minik8s.kit.run import StartError
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.errors import LogWriteFailed
from minik8s.store.raft.journal import State
from minik8s.store.raft.snapshots import Draft, Header, Snapshots
from minik8s.store.raft.wal import Segments


class SnapshotDraft(Protocol):
    """A snapshot that is being written, of bytes as `snapshots.Framer` makes them."""

    async def write(self, data: bytes) -> None:
        """Add bytes. Raises LogWriteFailed, as the others do."""

    async def check(self) -> Header:
        """Read all of it, which came from elsewhere. Raises LogCorrupt."""

    async def keep(self, header: Header) -> bool:
        """Make it durable and the current one, unless a newer one is; says whether."""

    def close(self) -> None:
        """Let go; what was not kept is nothing."""


class SnapshotReader(Protocol):
    """The bytes of a snapshot, for another member."""

    header: Header

    async def read(self, offset: int, count: int) -> bytes:
        """Empty at the end."""

    def close(self) -> None:
        """Let go of it."""


class Disk(Protocol):
    """Keeps groups of records in order, and one snapshot."""

    async def open(self) -> State:
        """Recover what is there. Raises StartError."""

    async def append(self, group: bytes, preamble: bytes, last_index: int) -> None:
        """Returns when the group is durable; raises LogWriteFailed. `preamble` starts a segment, should a new one
        begin; the group's entries end at `last_index`."""

    async def drop(self, index: int) -> None:
        """Forget what is wholly before entry `index`, as far as that is cheap."""

    def chunks(self) -> Iterator[bytes]:
        """The state in the current snapshot. Raises LogCorrupt."""

    def draft(self, name: str) -> SnapshotDraft:
        """Begin a snapshot; drafts of different names may be written at the same time."""

    def reader(self) -> SnapshotReader | None:
        """The current snapshot, good until closed; None if there is none."""

    def close(self) -> None:
        """Let go of files and locks."""


class FileDisk:
    """Files below the data directory, written by threads: fdatasync would stall the event loop, and a snapshot's the
    log."""

    def __init__(self, config: RaftConfig) -> None:
        self._segments = Segments(config.data_dir / "wal", member=config.name, segment_bytes=config.segment_bytes)
        self._snapshots = Snapshots(config.data_dir / "snap")
        self._log_thread: ThreadPoolExecutor | None = None
        self._snapshot_thread: ThreadPoolExecutor | None = None

    async def open(self) -> State:
        self._log_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wal")
        self._snapshot_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snap")
        return await asyncio.get_running_loop().run_in_executor(self._log_thread, self._open)

    async def append(self, group: bytes, preamble: bytes, last_index: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._log_thread, self._segments.append, group, preamble, last_index)

    async def drop(self, index: int) -> None:
        await asyncio.get_running_loop().run_in_executor(self._log_thread, self._segments.drop, index)

    def chunks(self) -> Iterator[bytes]:
        return self._snapshots.chunks()

    def draft(self, name: str) -> "FileDraft":
        return FileDraft(self._in_thread, lambda: self._snapshots.draft(name))

    def reader(self) -> "FileReader | None":
        return FileReader(*self._snapshots.reader(), self._in_thread) if self._snapshots.current else None

    def close(self) -> None:
        for thread in (self._log_thread, self._snapshot_thread):
            if thread:
                thread.shutdown(wait=True)
        self._segments.close()

    def _open(self) -> State:
        state = self._segments.open()
        try:
            state.snapshot = self._snapshots.open()
        except OSError as error:
            raise StartError(f"cannot use the snapshots in the data directory: {error}") from error
        return state

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._snapshot_thread, work, *arguments)
        except OSError as error:
            reason = error.strerror or errno.errorcode.get(error.errno or 0, "I/O error")
            raise LogWriteFailed(
                f"cannot write or read a snapshot: {reason}. This member stops; nothing it acknowledged is lost. "
                f"Make room or repair the disk, then start it again"
            ) from error


class FileDraft:
    """A draft on files, opened at the first use."""

    def __init__(self, in_thread: Callable[..., Any], make: Callable[[], Draft]) -> None:
        self._in_thread = in_thread
        self._make = make
        self._draft: Draft | None = None

    async def write(self, data: bytes) -> None:
        if self._draft is None:
            self._draft = await self._in_thread(self._make)
        await self._in_thread(self._draft.write, data)

    async def check(self) -> Header:
        assert self._draft
        header: Header = await self._in_thread(self._draft.check)
        return header

    async def keep(self, header: Header) -> bool:
        assert self._draft
        kept: bool = await self._in_thread(self._draft.keep, header)
        return kept

    def close(self) -> None:
        if self._draft:
            self._draft.close()


class FileReader:
    """A snapshot's file, held open: it may be replaced meanwhile."""

    def __init__(self, header: Header, descriptor: int, in_thread: Callable[..., Any]) -> None:
        self.header = header
        self._descriptor = descriptor
        self._in_thread = in_thread

    async def read(self, offset: int, count: int) -> bytes:
        data: bytes = await self._in_thread(os.pread, self._descriptor, count, offset)
        return data

    def close(self) -> None:
        os.close(self._descriptor)
