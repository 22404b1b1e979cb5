"""Container logs in CRI's format: `TIMESTAMP stdout F line`, P for a part of a line whose end comes later.

LineSplitter is pure. LogFile appends; the engine's pipes are read by container.py, which joins the two.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from minik8s.kit.log import get_logger

log = get_logger(__name__)

LINE_BYTES_MAX = 16 * 1024  # as containerd: longer lines are written in parts


class LineSplitter:
    """Cuts one stream into log entries; holds an unfinished line until its end comes or `flush` is called."""

    def __init__(self, stream: str) -> None:
        self._stream = stream.encode()
        self._rest = b""

    def feed(self, data: bytes, now_s: float) -> bytes:
        """The entries that `data` completes."""
        *lines, rest = (self._rest + data).split(b"\n")
        stamp = _stamp(now_s)
        out = [entry for line in lines for entry in self._entries(stamp, line, b"F")]
        while len(rest) > LINE_BYTES_MAX:
            out.append(self._entry(stamp, b"P", rest[:LINE_BYTES_MAX]))
            rest = rest[LINE_BYTES_MAX:]
        self._rest = rest
        return b"".join(out)

    def flush(self, now_s: float) -> bytes:
        """What is left at the end of the stream: a line without a newline is written as a part."""
        rest, self._rest = self._rest, b""
        return self._entry(_stamp(now_s), b"P", rest) if rest else b""

    def _entries(self, stamp: bytes, line: bytes, last_tag: bytes) -> list[bytes]:
        parts = [line[at : at + LINE_BYTES_MAX] for at in range(0, len(line), LINE_BYTES_MAX)] or [b""]
        tags = [b"P"] * (len(parts) - 1) + [last_tag]
        return [self._entry(stamp, tag, part) for tag, part in zip(tags, parts, strict=True)]

    def _entry(self, stamp: bytes, tag: bytes, text: bytes) -> bytes:
        return b"%b %b %b %b\n" % (stamp, self._stream, tag, text)


class LogFile:
    """The file a container's entries are appended to. A full disk costs log lines, never the container."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._lost = False

    def append(self, entries: bytes) -> None:
        """Written at once: appends reach the page cache in microseconds, less than a thread costs."""
        if not entries or not self._path:
            return
        try:
            if self._fd < 0:
                self.reopen()
            os.write(self._fd, entries)
            self._lost = False
        except OSError as error:
            if not self._lost:
                log.warning("container log lines lost", path=self._path, error=error.strerror)
            self._lost = True

    def reopen(self) -> None:
        """Open the path anew: the kubelet has moved the old file away (ReopenContainerLog). Raises OSError."""
        self.close()
        Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def close(self) -> None:
        """Harmless when it is not open."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _stamp(now_s: float) -> bytes:
    """RFC 3339 with nanoseconds, as CRI logs have them; ours end in three zeros."""
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
