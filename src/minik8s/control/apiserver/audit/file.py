"""The file of the audit log: lines appended, for its owner alone, turned over when it is large. Blocking.

Called by `log` in a thread. A file that is full is renamed to `audit-2026-11-20T22-30-00.000.log` beside it.
"""

import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_MEBIBYTE = 1024 * 1024
_STAMP = "%Y-%m-%dT%H-%M-%S"


@dataclass(frozen=True, slots=True)
class FileConfig:
    """Where lines go and what becomes of old ones. The flags are kube-apiserver's; 0 is no limit."""

    path: str  # "-" is standard output, which is never turned over
    size_mb_max: int = 100
    backups_max: int = 0
    age_days_max: int = 0


class AuditFile:
    """Appends lines. All methods raise OSError."""

    def __init__(self, config: FileConfig) -> None:
        self._config = config
        self._path = Path(config.path)
        self._descriptor = -1
        self._size_bytes = 0

    def open(self) -> None:
        """Find out whether lines can be written at all."""
        if self._config.path == "-":
            self._descriptor = sys.stdout.fileno()
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.fchmod(self._descriptor, 0o600)
        self._size_bytes = os.fstat(self._descriptor).st_size

    def write(self, lines: bytes, now_s: float) -> None:
        """Append whole lines."""
        if self._descriptor < 0:
            self.open()
        limit = self._config.size_mb_max * _MEBIBYTE
        if limit and self._size_bytes and self._size_bytes + len(lines) > limit and self._config.path != "-":
            self._turn_over(now_s)
        view = memoryview(lines)
        while view:
            written = os.write(self._descriptor, view)
            self._size_bytes += written
            view = view[written:]

    def close(self) -> None:
        """Let go of the file; harmless if it is not open."""
        if self._descriptor >= 0 and self._config.path != "-":
            os.close(self._descriptor)
        self._descriptor = -1

    def _turn_over(self, now_s: float) -> None:
        self.close()
        now = datetime.fromtimestamp(now_s, UTC)
        stamp = f"{now.strftime(_STAMP)}.{now.microsecond // 1000:03d}"
        self._path.rename(self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"))
        self.open()
        for old in self._superfluous(now):
            with suppress(FileNotFoundError):
                old.unlink()

    def _superfluous(self, now: datetime) -> list[Path]:
        """Old files beyond their number or age."""
        name = re.compile(rf"{re.escape(self._path.stem)}-(\d{{4}}-\d\d-\d\dT\d\d-\d\d-\d\d)\.\d{{3}}")
        found = []
        for each in self._path.parent.glob(f"*{self._path.suffix}"):
            if match := name.fullmatch(each.stem):
                found.append((each, datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)))
        found.sort(key=lambda pair: pair[0].name, reverse=True)
        beyond = found[self._config.backups_max :] if self._config.backups_max else []
        if self._config.age_days_max:
            oldest = now - timedelta(days=self._config.age_days_max)
            beyond = beyond + [pair for pair in found if pair[1] < oldest]
        return [path for path, _ in beyond]
