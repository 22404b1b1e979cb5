"""Where a member keeps its log: a small protocol, and the one that stands on files.

The simulator has another, which forgets what was not synced.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.journal import State
from minik8s.store.raft.wal import Segments


class Disk(Protocol):
    """Keeps groups of records in order."""

    async def open(self) -> State:
        """Recover what is there. Raises StartError."""

    async def append(self, group: bytes, preamble: bytes) -> None:
        """Returns when the group is durable; raises LogWriteFailed. `preamble` starts a segment, should a new one
        begin."""

    def close(self) -> None:
        """Let go of files and locks."""


class FileDisk:
    """Segments below the data directory, written by one thread: fdatasync would stall the event loop."""

    def __init__(self, config: RaftConfig) -> None:
        self._segments = Segments(config.data_dir / "wal", member=config.name, segment_bytes=config.segment_bytes)
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> State:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wal")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._segments.open)

    async def append(self, group: bytes, preamble: bytes) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._segments.append, group, preamble)

    def close(self) -> None:
        if self._thread:
            self._thread.shutdown(wait=True)
        self._segments.close()
