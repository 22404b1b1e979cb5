"""A backup as one file: what etcd's Snapshot call streams and `minik8s store snapshot` reads. Pure: bytes and chunks.

    magic, then frames (length, CRC32, chunk of `Machine.snapshot`), an empty frame, zeros, then the SHA-256 of all

The zeros make a multiple of 512 bytes, by which etcdctl tells that a digest follows.
Bytes of any kind give the state or BackupUnreadable, which says where. A backup cut short is refused: it lacks its end.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from minik8s.store.machine import Machine
from minik8s.store.snapshot import SnapshotUnreadable

_MAGIC = b"minik8s store backup 1\n"
_FRAME = struct.Struct(">II")
_CHUNK_BYTES_MAX = 64 << 20
_PIECE_BYTES = 32 << 10
_DIGEST_BYTES = 32
_BLOCK_BYTES = 512


class BackupUnreadable(ValueError):
    """The file is damaged, cut short or no backup of ours."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(f"corrupt at byte {offset}: {why}")
        self.offset = offset


class Summary(NamedTuple):
    """What `snapshot status` tells."""

    hash: int  # equal for equal content
    revision: int
    keys: int
    versions: int
    size_bytes: int


def pieces(machine: Machine) -> Iterator[bytes]:
    """The backup of the state as it is at the first `next`, in pieces of at most 32 KiB; the last is the digest."""
    digest = hashlib.sha256()
    for data in _framed(machine.snapshot()):
        digest.update(data)
        for start in range(0, len(data), _PIECE_BYTES):
            yield data[start : start + _PIECE_BYTES]
    yield digest.digest()


def read(file: BinaryIO) -> Machine:
    """The state in a backup. Raises BackupUnreadable, OSError."""
    reader = _Reader(file)
    machine = Machine()
    try:
        machine.restore(reader.chunks())
    except SnapshotUnreadable as error:
        raise BackupUnreadable(reader.offset, str(error)) from error
    return machine


def for_new_cluster(machine: Machine) -> None:
    """Take out what belongs to the cluster the backup was made of: who its members were, its id and its terms."""
    machine.members = {}
    machine.cluster_id = 0
    machine.space.leases.term = 0


def summary(machine: Machine, size_bytes: int) -> Summary:
    mvcc = machine.space.mvcc
    crc, _ = mvcc.hash_kv()
    return Summary(crc, mvcc.revision, mvcc.key_count, mvcc.version_count, size_bytes)


def _framed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield _MAGIC
    size_bytes = len(_MAGIC)
    for chunk in chunks:
        frame = _FRAME.pack(len(chunk), zlib.crc32(chunk)) + chunk
        size_bytes += len(frame)
        yield frame
    end = _FRAME.pack(0, 0)
    yield end + bytes(-(size_bytes + len(end)) % _BLOCK_BYTES)


class _Reader:
    """Reads frames and knows how far it has come."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.offset = 0

    def chunks(self) -> Iterator[bytes]:
        if self._take(len(_MAGIC), "a header") != _MAGIC:
            raise BackupUnreadable(0, "this is no backup made by minik8s (etcd's are bbolt files)")
        while True:
            start = self.offset
            length, crc = _FRAME.unpack(self._take(_FRAME.size, "a frame"))
            if length > _CHUNK_BYTES_MAX:
                raise BackupUnreadable(start, f"a frame claims {length} bytes")
            chunk = self._take(length, "a frame's content")
            if zlib.crc32(chunk) != crc:
                raise BackupUnreadable(start, "the checksum of a frame is wrong")
            if not length:
                break
            yield chunk
        if any(self._take(-self.offset % _BLOCK_BYTES, "the padding")):
            raise BackupUnreadable(start, "its padding is not empty")
        start, expected = self.offset, self._digest.digest()
        if self._take(_DIGEST_BYTES, "the digest") != expected:
            raise BackupUnreadable(start, "the digest of the whole is wrong")
        if self._file.read(1):
            raise BackupUnreadable(self.offset, "there is more behind its end")

    def _take(self, count: int, what: str) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise BackupUnreadable(self.offset + len(data), f"it ends within {what}")
        self.offset += count
        self._digest.update(data)
        return data
