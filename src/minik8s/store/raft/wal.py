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
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError
from minik8s.store.raft.errors import LogCorrupt, LogWriteFailed
from minik8s.store.raft.journal import State

log = get_logger(__name__)

_HEAD = struct.Struct("<IQI")
_NUMBER = struct.Struct("<Q")
_NUMBER_OFFSET = 4
_HEAD_CRC = struct.Struct("<I")
_HEAD_BYTES = _HEAD.size + _HEAD_CRC.size
_SECTOR_BYTES = 512
_LOWEST_NUMBER = 1


def frame(number: int, payload: bytes) -> bytes:
    """One frame as written."""
    head = _HEAD.pack(len(payload), number, zlib.crc32(payload))
    return head + _HEAD_CRC.pack(zlib.crc32(head)) + payload


def _frame_at(data: bytes, offset: int) -> tuple[int, bytes] | None:
    """(number, payload) of the whole, valid frame at `offset`, else None."""
    if offset + _HEAD_BYTES > len(data):
        return None
    head = data[offset : offset + _HEAD.size]
    if _HEAD_CRC.unpack_from(data, offset + _HEAD.size)[0] != zlib.crc32(head):
        return None
    length, number, crc = _HEAD.unpack(head)
    payload = data[offset + _HEAD_BYTES : offset + _HEAD_BYTES + length]
    return (number, payload) if len(payload) == length and zlib.crc32(payload) == crc else None


def _is_torn(data: bytes, offset: int) -> bool:
    """Whether the bad frame at `offset` looks like a write that a crash interrupted: cut short, or with zeroed
    sectors."""
    rest = len(data) - offset
    if rest < _HEAD_BYTES:
        return True
    head = data[offset : offset + _HEAD.size]
    if _HEAD_CRC.unpack_from(data, offset + _HEAD.size)[0] == zlib.crc32(head):
        end = offset + _HEAD_BYTES + _HEAD.unpack(head)[0]
        if end > len(data):
            return True
    first = offset + -offset % _SECTOR_BYTES
    sectors = [data[offset:first], *(data[at : at + _SECTOR_BYTES] for at in range(first, len(data), _SECTOR_BYTES))]
    return any(sector and not any(sector) for sector in sectors)


def _is_followed(data: bytes, offset: int, number: int) -> bool:
    """Whether a good frame stands somewhere behind the bad one, frame `number`, at `offset`."""
    for later in range(number + 1, number + 17):
        needle = _NUMBER.pack(later)
        at = data.find(needle, offset)
        while at >= 0:
            if at - offset >= _NUMBER_OFFSET and _frame_at(data, at - _NUMBER_OFFSET):
                return True
            at = data.find(needle, at + 1)
    return False


def scan(path: Path, data: bytes, *, expected: int, is_last: bool) -> tuple[list[tuple[int, bytes]], int]:
    """The (number, payload) of every frame in a segment, and where the good part ends. Raises LogCorrupt."""
    frames: list[tuple[int, bytes]] = []
    offset = 0
    while offset < len(data):
        found = _frame_at(data, offset)
        if found is None:
            break
        number, payload = found
        if number != expected:
            raise LogCorrupt(path, offset, f"frame {number} where {expected} should be")
        frames.append(found)
        expected = number + 1
        offset += _HEAD_BYTES + len(payload)
    if offset == len(data):
        return frames, offset
    if not is_last:
        raise LogCorrupt(path, offset, "a frame is damaged, and a later segment follows")
    if _is_followed(data, offset, expected):
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

    def append(self, group: bytes, preamble: bytes) -> None:
        """Write one group; it is durable when this returns. Raises LogWriteFailed, after which nothing may be
        written."""
        try:
            if self._file is None or self._size_bytes >= self._segment_bytes:
                self._start_segment(preamble)
            self._write(group)
            os.fdatasync(self._need_file())
        except OSError as error:
            # After a failed fsync the kernel may have dropped the pages: a second try could report success falsely.
            reason = error.strerror or errno.errorcode.get(error.errno or 0, "I/O error")
            raise LogWriteFailed(
                f"cannot write the log in {self.directory}: {reason}. This member stops; "
                f"nothing it acknowledged is lost. Make room or repair the disk, then start it again"
            ) from error

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
        self._sync_directory()

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

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
        expected = _LOWEST_NUMBER
        for place, path in enumerate(paths):
            if path != self._path(place + 1):
                raise LogCorrupt(path, 0, f"segment {self._path(place + 1).name} is missing")
            data = path.read_bytes()
            is_last = path == paths[-1]
            frames, good = scan(path, data, expected=expected, is_last=is_last)
            if good < len(data):
                log.warning("cut a torn tail", file=str(path), offset=good, size_bytes=len(data) - good)
                self._cut(path, good)
            for payload in self._records(path, frames):
                try:
                    state.replay(payload)
                except (ValueError, msgspec.DecodeError) as error:
                    raise LogCorrupt(path, good, str(error)) from error
            expected += len(frames)
            if is_last and len(frames) < 2:
                # A crash came while the segment was being started: its name is used again.
                expected -= len(frames)
                path.unlink()
                self._sync_directory()
                paths.pop()
                break
            if is_last:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                self._size_bytes = good
        self._next_number = expected
        self._next_segment = len(paths) + 1
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
