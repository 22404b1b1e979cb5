"""Snapshots on disk: one checksummed file, complete or not there.

    DIR/snap/INDEX.snap    frames as in the log: a Header, the state's chunks, an empty frame as the end

A file is written under another name, synced every few megabytes (one large sync would hold up the log's), renamed when
whole, and then older ones go. Its raw bytes are what a leader sends to a member that has fallen behind. Blocking:
disk.py calls it from a thread of its own.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from minik8s.store.raft.errors import LogCorrupt
from minik8s.store.raft.frames import HEAD_BYTES, frame, read_head, read_payload, sync_directory
from minik8s.store.raft.roster import Configuration

_FORMAT = 1
_SYNC_BYTES = 4 << 20
_READ_BYTES = 1 << 20


class Header(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What state a snapshot holds: that after the entry at `index`."""

    index: int
    term: int
    configuration: Configuration | None
    """As of `index`; None if it was never changed, so that members' addresses may be given anew at a start."""
    format: int = _FORMAT


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Header).decode


class Framer:
    """Turns a header and chunks into a file's bytes, piece by piece."""

    def __init__(self) -> None:
        self._number = 0

    def header(self, header: Header) -> bytes:
        return self.chunk(_encode(header))

    def chunk(self, chunk: bytes) -> bytes:
        assert chunk, "an empty chunk would be the end"
        return self._frame(chunk)

    def end(self) -> bytes:
        return self._frame(b"")

    def _frame(self, payload: bytes) -> bytes:
        self._number += 1
        return frame(self._number, payload)


def payloads(path: Path, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What the frames of a file hold, the header first. Raises LogCorrupt unless all of it is whole."""
    buffer, offset, number = b"", 0, 1
    while True:
        while len(buffer) < HEAD_BYTES or len(buffer) < HEAD_BYTES + read_head(path, offset, buffer, number):
            piece = next(pieces, b"")
            if not piece:
                raise LogCorrupt(path, offset, "the snapshot is cut short")
            buffer += piece
        length = read_head(path, offset, buffer, number)
        payload = read_payload(path, offset, buffer)
        buffer = buffer[HEAD_BYTES + length :]
        offset += HEAD_BYTES + length
        number += 1
        if not payload:
            break
        yield payload
    if buffer or next(pieces, b""):
        raise LogCorrupt(path, offset, "something follows the snapshot's end")


def read_header(path: Path, payload: bytes) -> Header:
    """Raises LogCorrupt."""
    try:
        header = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LogCorrupt(path, 0, f"the snapshot's header cannot be read: {error}") from error
    if header.format != _FORMAT or header.index < 1:
        raise LogCorrupt(path, 0, f"the snapshot has format {header.format}, this version reads {_FORMAT}")
    return header


class Snapshots:
    """The files of one member. At most one is current."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.current: Header | None = None

    def open(self) -> Header | None:
        """The newest snapshot's header; what was not finished is removed. Raises LogCorrupt, OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._directory.glob("*.tmp*"):
            path.unlink()
        paths = sorted(self._directory.glob("*.snap"))
        if paths:
            self.current = read_header(paths[-1], next(payloads(paths[-1], _pieces(paths[-1])), b""))
            if paths[-1] != self._path(self.current.index):
                raise LogCorrupt(paths[-1], 0, f"it holds the snapshot at {self.current.index}")
        return self.current

    def chunks(self) -> Iterator[bytes]:
        """The state's chunks of the current snapshot. Raises LogCorrupt."""
        assert self.current
        path = self._path(self.current.index)
        found = payloads(path, _pieces(path))
        next(found)
        yield from found

    def reader(self) -> tuple[Header, int]:
        """The current snapshot and a descriptor to its bytes, which stays good when a newer one comes."""
        assert self.current
        return self.current, os.open(self._path(self.current.index), os.O_RDONLY | os.O_CLOEXEC)

    def draft(self, name: str) -> "Draft":
        """A new file; drafts of different names may be written at the same time."""
        return Draft(self, self._directory / f"{name}.tmp")

    def keep(self, path: Path, header: Header) -> bool:
        """Make a finished file current unless a newer one is."""
        if self.current and self.current.index >= header.index:
            path.unlink()
            return False
        path.rename(self._path(header.index))
        sync_directory(self._directory)
        old, self.current = self.current, header
        if old:
            self._path(old.index).unlink(missing_ok=True)
            sync_directory(self._directory)
        return True

    def _path(self, index: int) -> Path:
        return self._directory / f"{index:016x}.snap"


class Draft:
    """A snapshot that is being written."""

    def __init__(self, snapshots: Snapshots, path: Path) -> None:
        self._snapshots = snapshots
        self._path = path
        path.unlink(missing_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._unsynced_bytes = 0

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._unsynced_bytes += len(data)
        if self._unsynced_bytes >= _SYNC_BYTES:
            os.fdatasync(self._file)
            self._unsynced_bytes = 0

    def check(self) -> Header:
        """Read it all again. Raises LogCorrupt."""
        found = payloads(self._path, _pieces(self._path))
        header = read_header(self._path, next(found, b""))
        for _ in found:
            pass
        return header

    def keep(self, header: Header) -> bool:
        """Make it durable and current; False if a newer one is current already."""
        os.fsync(self._file)
        self.close()
        return self._snapshots.keep(self._path, header)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            yield piece
