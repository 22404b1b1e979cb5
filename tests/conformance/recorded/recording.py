"""What kubectl sent to a real kube-apiserver 1.36.2 and what that answered: `recording.jsonl.xz`, in order of time.

Bodies in protobuf were recorded as `{"PB": document}`. Answers were cut at 4,000 characters and events at 1,000:
`partial` reads as much of them as there is. Watches stand where they began.
"""

import functools
import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDING = Path(__file__).with_name("recording.jsonl.xz")
_UNRECORDED = "<"  # Answers that are too large stand as `<7052 bytes>`.


class Cut(dict[str, Any]):
    """An object whose end was not recorded: there may be more keys."""


class CutList(list[Any]):
    """A list whose end was not recorded."""


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. `answer` and `events` are text; `events` is None but for watches."""

    label: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    status: int
    answer_headers: dict[str, str]
    answer: str = ""
    events: tuple[str, ...] | None = None

    @property
    def is_watch(self) -> bool:
        return self.events is not None

    def document(self) -> Any:
        """The answer as JSON or text; None if it was too large to be recorded, or empty."""
        if not self.answer or self.answer.startswith(_UNRECORDED):
            return None
        return _unpacked(partial(self.answer)) if self.answer[0] == "{" else self.answer

    def is_protobuf(self) -> bool:
        return '"PB"' in self.answer[:6]

    def event_documents(self) -> list[Any]:
        return [partial(event) for event in self.events or ()]


@functools.cache
def exchanges() -> tuple[Exchange, ...]:
    """The whole recording."""
    lines = lzma.decompress(RECORDING.read_bytes()).decode().splitlines()
    made = []
    for line in lines:
        row = json.loads(line)
        if "events" in row:
            row["events"] = tuple(row["events"])
        made.append(Exchange(**row))
    return tuple(made)


def labels() -> list[str]:
    """The labelled runs, in order."""
    return list(dict.fromkeys(each.label for each in exchanges()))


def partial(text: str) -> Any:
    """The JSON value that begins `text`, cut where `text` ends."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        value, _ = _Cut(text).value(0)
        return value


def _unpacked(document: Any) -> Any:
    if "PB" in document:
        inner = document["PB"]
        return Cut(inner) if isinstance(document, Cut) else inner
    return document


class _End(Exception):
    """The text is over; what was read so far counts."""


class _Cut:
    """A reader of JSON whose end is missing; the last scalar is dropped, since it may be cut too."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._scan = json.JSONDecoder().raw_decode

    def value(self, at: int) -> tuple[Any, int]:
        at = self._blank(at)
        if self._text[at] == "{":
            return self._object(at + 1)
        if self._text[at] == "[":
            return self._list(at + 1)
        try:
            value, end = self._scan(self._text, at)
        except json.JSONDecodeError:
            raise _End from None
        if end >= len(self._text):
            raise _End
        return value, end

    def _object(self, at: int) -> tuple[Any, int]:
        made = Cut()
        try:
            while self._text[at := self._blank(at)] != "}":
                key, at = self.value(at + 1 if self._text[at] == "," else at)
                made[key], at = self.value(self._blank(at) + 1)
        except (_End, IndexError):
            return made, len(self._text)
        return (dict(made) if at < len(self._text) else made), at + 1

    def _list(self, at: int) -> tuple[Any, int]:
        made = CutList()
        try:
            while self._text[at := self._blank(at)] != "]":
                value, at = self.value(at + 1 if self._text[at] == "," else at)
                made.append(value)
        except (_End, IndexError):
            return made, len(self._text)
        return list(made), at + 1

    def _blank(self, at: int) -> int:
        while self._text[at : at + 1].isspace():
            at += 1
        if at >= len(self._text):
            raise _End
        return at
