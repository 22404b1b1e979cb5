"""The log on disk: append-only segments of checksummed frames, one frame per group of records, one fdatasync per frame.

    DIR/wal/0000000000000001.wal …   frame = length, number, CRC of the payload, CRC of these three; payload

Frames are numbered without gap across segments. A frame is written only after the one before it is durable, so a
crash can damage the last one alone, and only by cutting it short or leaving sectors of zeros: that torn tail is cut
off. Any other damage is not a crash's: the member refuses to start and names file and offset. Blocking: disk.py calls
it from a thread of its own.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError
from minik8s.store.raft.errors import LogCorrupt, LogWriteFailed
from minik8s.store.raft.frames import (
    HEAD_BYTES,
    NUMBER_OFFSET,
    frame,
    frame_at,
    head_length,
    number_bytes,
    sync_directory,
)
from minik8s.store.raft.journal import State

log = get_logger(__name__)

_SECTOR_BYTES = 512
_LOWEST_NUMBER = 1


def _is_torn(data: bytes, offset: int) -> bool:
    """Whether the bad frame at `offset` looks like a write that a crash interrupted: cut short, or with zeroed
    sectors."""
    rest = len(data) - offset
    if rest < HEAD_BYTES:
        return True
    length = head_length(data, offset)
    if length is not None and offset + HEAD_BYTES + length > len(data):
        return True
    first = offset + -offset % _SECTOR_BYTES
    sectors = [data[offset:first], *(data[at : at + _SECTOR_BYTES] for at in range(first, len(data), _SECTOR_BYTES))]
    return any(sector and not any(sector) for sector in sectors)


def _is_followed(data: bytes, offset: int, number: int) -> bool:
    """Whether a good frame stands somewhere behind the bad one, frame `number`, at `offset`."""
    for later in range(number + 1, number + 17):
        needle = number_bytes(later)
        at = data.find(needle, offset)
        while at >= 0:
            if at - offset >= NUMBER_OFFSET and frame_at(data, at - NUMBER_OFFSET):
                return True
            at = data.find(needle, at + 1)
    return False


def scan(path: Path, data: bytes, *, expected: int | None, is_last: bool) -> tuple[list[tuple[int, bytes]], int]:
    """The (number, payload) of every frame in a segment, and where the good part ends. The first one's number
    is `expected`; None takes any. Raises LogCorrupt."""
    frames: list[tuple[int, bytes]] = []
    offset = 0
    while offset < len(data):
        found = frame_at(data, offset)
        if found is None:
            break
        number, payload = found
        if expected is not None and number != expected:
            raise LogCorrupt(path, offset, f"frame {number} where {expected} should be")
        frames.append(found)
        expected = number + 1
        offset += HEAD_BYTES + len(payload)
    if offset == len(data):
        return frames, offset
    if not is_last:
        raise LogCorrupt(path, offset, "a frame is damaged, and a later segment follows")
    if _is_followed(data, offset, _LOWEST_NUMBER if expected is None else expected):
        raise LogCorrupt(path, offset, "a frame is damaged, and a good one follows")
    if not _is_torn(data, offset):
        raise LogCorrupt(path, offset, "the last frame is whole but its checksum is wrong")
    return frames, offset


class Segments:
    """The files of one member, held under a lock."""

    def __init__(self, directory: Path, *, member: str, segment_bytes: int) -> None:
        self.directory = directory
        self._member = member.encode()
        self._segment_bytes = segment_bytes
        self._next_number = _LOWEST_NUMBER
        self._next_segment = 1
        self._size_bytes = 0
        self._highest: dict[Path, int] = {}
        """Of each segment, oldest first, the last entry it may hold."""
        self._file: int | None = None
        self._lock: int | None = None

    def open(self) -> State:
        """Take the lock, read every segment, cut a torn tail. Raises StartError."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_lock()
            return self._recover()
        except OSError as error:
            raise StartError(f"cannot use the data directory {self.directory}: {error.strerror}") from error

    def append(self, group: bytes, preamble: bytes, last_index: int) -> None:
        """Write one group, whose entries end at `last_index`; it is durable when this returns. Raises LogWriteFailed,
        after which nothing may be written."""
        try:
            if self._file is None or self._size_bytes >= self._segment_bytes:
                self._start_segment(preamble)
            self._write(group)
            os.fdatasync(self._need_file())
            path = self._path(self._next_segment - 1)
            self._highest[path] = max(self._highest.get(path, 0), last_index)
        except OSError as error:
            # After a failed fsync the kernel may have dropped the pages: a second try could report success falsely.
            reason = error.strerror or errno.errorcode.get(error.errno or 0, "I/O error")
            raise LogWriteFailed(
                f"cannot write the log in {self.directory}: {reason}. This member stops; "
                f"nothing it acknowledged is lost. Make room or repair the disk, then start it again"
            ) from error

    def drop(self, index: int) -> None:
        """Remove the oldest segments as far as they hold nothing from entry `index` on; never the newest."""
        for path in list(self._highest)[:-1]:
            if self._highest[path] >= index:
                break
            # Oldest first, each name gone for good before the next: a gap would look like damage.
            path.unlink()
            sync_directory(self.directory)
            del self._highest[path]

    def close(self) -> None:
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    def _need_file(self) -> int:
        assert self._file is not None
        return self._file

    def _write(self, payload: bytes) -> None:
        data = memoryview(frame(self._next_number, payload))
        self._next_number += 1
        self._size_bytes += len(data)
        while data:
            data = data[os.write(self._need_file(), data) :]

    def _start_segment(self, preamble: bytes) -> None:
        if self._file is not None:
            os.close(self._file)
        path = self._path(self._next_segment)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._next_segment += 1
        self._size_bytes = 0
        self._write(self._member)
        self._write(preamble)
        # The name must be as durable as what will be written under it.
        os.fdatasync(self._file)
        sync_directory(self.directory)

    def _take_lock(self) -> None:
        self._lock = os.open(self.directory / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(f"{self.directory} is in use by another process: stop it, or name another") from error

    def _path(self, segment: int) -> Path:
        return self.directory / f"{segment:016x}.wal"

    def _recover(self) -> State:
        state = State()
        paths = sorted(self.directory.glob("*.wal"))
        first = _number_of(paths[0]) if paths else 1
        expected = _LOWEST_NUMBER if first == 1 else None
        for place, path in enumerate(paths):
            if path != self._path(first + place):
                raise LogCorrupt(path, 0, f"segment {self._path(first + place).name} is missing")
            data = path.read_bytes()
            is_last = path == paths[-1]
            frames, good = scan(path, data, expected=expected, is_last=is_last)
            if good < len(data):
                log.warning("cut a torn tail", file=str(path), offset=good, size_bytes=len(data) - good)
                self._cut(path, good)
            state.highest = 0
            for payload in self._records(path, frames):
                try:
                    state.replay(payload)
                except (ValueError, msgspec.DecodeError) as error:
                    raise LogCorrupt(path, good, str(error)) from error
            if is_last and len(frames) < 2:
                # A crash came while the segment was being started: its name is used again.
                path.unlink()
                sync_directory(self.directory)
                paths.pop()
                break
            expected = frames[-1][0] + 1 if frames else expected
            self._highest[path] = state.highest
            if is_last:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                self._size_bytes = good
        self._next_number = expected or _LOWEST_NUMBER
        self._next_segment = first + len(paths)
        return state

    def _records(self, path: Path, frames: list[tuple[int, bytes]]) -> Iterator[bytes]:
        """The groups of a segment, its first frame, which names the member, left out."""
        for place, (_, payload) in enumerate(frames):
            if place > 0:
                yield payload
            elif payload != self._member:
                raise StartError(
                    f"{self.directory} belongs to member {payload.decode(errors='replace')!r}, "
                    f"not to {self._member.decode()!r}: check --name and --data-dir"
                )

    def _cut(self, path: Path, size_bytes: int) -> None:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size_bytes)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _number_of(path: Path) -> int:
    try:
        return int(path.stem, 16)
    except ValueError as error:
        raise LogCorrupt(path, 0, "this is not a segment's name") from error
