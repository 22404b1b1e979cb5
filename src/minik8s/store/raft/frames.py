"""Frames: how the log and the snapshots keep bytes on disk, so that damage shows. Pure, but for one fsync.

frame = payload's length, number, CRC of the payload, CRC of these three; payload
"""

import os
import struct
import zlib
from pathlib import Path

from minik8s.store.raft.errors import LogCorrupt

_HEAD = struct.Struct("<IQI")
_NUMBER = struct.Struct("<Q")
NUMBER_OFFSET = 4
_HEAD_CRC = struct.Struct("<I")
HEAD_BYTES = _HEAD.size + _HEAD_CRC.size


def frame(number: int, payload: bytes) -> bytes:
    """One frame as written."""
    head = _HEAD.pack(len(payload), number, zlib.crc32(payload))
    return head + _HEAD_CRC.pack(zlib.crc32(head)) + payload


def number_bytes(number: int) -> bytes:
    """A frame's number as written, at NUMBER_OFFSET of the frame."""
    return _NUMBER.pack(number)


def head_length(data: bytes, offset: int) -> int | None:
    """The payload's length that the head at `offset` tells; None if it is no whole head."""
    head = data[offset : offset + _HEAD.size]
    if offset + HEAD_BYTES > len(data) or _HEAD_CRC.unpack_from(data, offset + _HEAD.size)[0] != zlib.crc32(head):
        return None
    return int(_HEAD.unpack(head)[0])


def frame_at(data: bytes, offset: int) -> tuple[int, bytes] | None:
    """(number, payload) of the whole, valid frame at `offset`, else None."""
    if offset + HEAD_BYTES > len(data):
        return None
    head = data[offset : offset + _HEAD.size]
    if _HEAD_CRC.unpack_from(data, offset + _HEAD.size)[0] != zlib.crc32(head):
        return None
    length, number, crc = _HEAD.unpack(head)
    payload = data[offset + HEAD_BYTES : offset + HEAD_BYTES + length]
    return (number, payload) if len(payload) == length and zlib.crc32(payload) == crc else None


def read_head(path: Path, offset: int, data: bytes, number: int) -> int:
    """The length of the payload of frame `number`, whose head `data` starts with. Raises LogCorrupt."""
    head = data[: _HEAD.size]
    if _HEAD_CRC.unpack_from(data, _HEAD.size)[0] != zlib.crc32(head):
        raise LogCorrupt(path, offset, "a frame's head is damaged")
    length, found, _ = _HEAD.unpack(head)
    if found != number:
        raise LogCorrupt(path, offset, f"frame {found} where {number} should be")
    return int(length)


def read_payload(path: Path, offset: int, data: bytes) -> bytes:
    """The payload of the whole frame that `data` starts with. Raises LogCorrupt."""
    found = frame_at(data, 0)
    if found is None:
        raise LogCorrupt(path, offset, "a frame is damaged")
    return found[1]


def sync_directory(directory: Path) -> None:
    """Make names in it as durable as what is under them."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
