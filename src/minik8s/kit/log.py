"""Logs: a constant message and facts as key/values, one line per event.

    log = get_logger(__name__)
    log.info("pod bound", pod="default/web", node="n1")

prints `2026-11-20T18:33:03.123Z INFO scheduler.cycle pod bound pod=default/web node=n1`.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO


class Logger:
    """A named logger whose calls take facts as keyword arguments."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, **facts: Any) -> None:
        self._emit(logging.DEBUG, message, facts)

    def info(self, message: str, **facts: Any) -> None:
        """A decision worth waking for."""
        self._emit(logging.INFO, message, facts)

    def warning(self, message: str, **facts: Any) -> None:
        """Something went wrong and healed itself."""
        self._emit(logging.WARNING, message, facts)

    def error(self, message: str, *, exc_info: bool = False, **facts: Any) -> None:
        """A human is needed."""
        self._emit(logging.ERROR, message, facts, exc_info=exc_info)

    def _emit(self, level: int, message: str, facts: dict[str, Any], *, exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, message, extra={"facts": facts}, exc_info=exc_info)


def get_logger(name: str) -> Logger:
    """The logger of a module: pass __name__."""
    return Logger(logging.getLogger(name))


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        facts = "".join(f" {key}={_quoted(value)}" for key, value in getattr(record, "facts", {}).items())
        name = record.name.removeprefix("minik8s.")
        line = f"{at} {record.levelname} {name} {record.getMessage()}{facts}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    # json.dumps keeps one event on one line whatever the value holds.
    return text if text and not any(c in text for c in ' "=\n\r\t') else json.dumps(text, ensure_ascii=False)


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (standard error by default). Called once, by cli."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
