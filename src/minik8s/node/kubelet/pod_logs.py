"""Reads the logs that a CRI runtime wrote, as `kubectl logs` wants them: the text, not the format.

`Selection` (pure) says which entries are wanted and how they look; `stream` reads a file, and follows it.
"""

import asyncio
import os
from asyncio import sleep
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

BLOCK_BYTES = 64 * 1024
FOLLOW_S = 0.1  # how often a followed file is looked at; only while someone follows it


@dataclass(frozen=True, slots=True)
class Selection:
    """The query of a log request."""

    follow: bool = False
    tail_lines: int | None = None
    since_s: float | None = None  # seconds since the epoch
    timestamps: bool = False
    limit_bytes: int | None = None

    def render(self, entry: bytes) -> bytes:
        """What is shown of one entry, a line of the file without its newline: b"" if it is not wanted."""
        stamp, _, rest = entry.partition(b" ")
        _, _, rest = rest.partition(b" ")  # stdout or stderr
        tag, _, text = rest.partition(b" ")
        if self.since_s is not None and _seconds(stamp) < self.since_s:
            return b""
        if not tag.startswith(b"P"):
            text += b"\n"
        return stamp + b" " + text if self.timestamps else text


async def stream(path: Path, selection: Selection, is_running: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    """Chunks of the log's text. Following ends when the container does. Raises OSError if there is no such file."""
    left = selection.limit_bytes if selection.limit_bytes is not None else 1 << 62
    file = await asyncio.to_thread(path.open, "rb", buffering=0)
    try:
        if selection.tail_lines is not None:
            file.seek(await asyncio.to_thread(_tail_offset, path, selection.tail_lines))
        rest = b""
        while left > 0:
            # Asked before the read: what a container wrote before it ended is then in the file.
            goes_on = selection.follow and await is_running()
            while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
                *entries, rest = (rest + block).split(b"\n")
                text = b"".join(map(selection.render, entries))[:left]
                left -= len(text)
                if text:
                    yield text
                if left <= 0:
                    return
            if not goes_on:
                return
            await sleep(FOLLOW_S)
            if await asyncio.to_thread(_was_replaced, path, file.fileno()):
                # Rotated: the new file holds what comes after.
                file.close()
                file = await asyncio.to_thread(path.open, "rb", buffering=0)
                rest = b""
    finally:
        file.close()


def _tail_offset(path: Path, lines: int) -> int:
    """Where the last `lines` lines begin. Parts of a line (P) count with the line they belong to."""
    if lines <= 0:
        return path.stat().st_size
    with path.open("rb") as file:
        end = position = file.seek(0, os.SEEK_END)
        tail = b""
        while position > 0:
            position = max(0, position - BLOCK_BYTES)
            file.seek(position)
            tail = file.read(min(BLOCK_BYTES, end - position)) + tail
            end = position
            starts = _line_starts(tail, is_whole=position == 0)
            if len(starts) >= lines + (position > 0):
                return position + starts[-lines]
    return 0


def _line_starts(data: bytes, *, is_whole: bool) -> list[int]:
    """Offsets at which lines of text begin: entries that do not continue a P entry."""
    starts = []
    at, continues = 0, not is_whole  # the first entry of a part of a file is cut
    while at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            end = len(data)
        if not continues:
            starts.append(at)
        fields = data[at:end].split(b" ", 3)
        continues = len(fields) > 2 and fields[2].startswith(b"P")
        at = end + 1
    return starts


def _was_replaced(path: Path, fd: int) -> bool:
    try:
        there, here = path.stat(), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


def _seconds(stamp: bytes) -> float:
    try:
        # Nine digits of a second are more than fromisoformat takes in Python 3.11.
        text, _, fraction = stamp.decode().rstrip("Z").partition(".")
        return datetime.fromisoformat(f"{text}+00:00").timestamp() + float(f"0.{fraction or 0}")
    except ValueError:
        return 0.0
