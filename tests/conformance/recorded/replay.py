"""Sends the recorded requests to a server of ours, in order, and compares the answers.

Uids, revisions and tags that the recorded server gave are replaced, in later requests, by those that ours gave in
the same place of the same answer.
"""

import contextlib
import json
import queue
import re
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse, HTTPSConnection
from typing import Any

from control.apiserver.protobuf_encoder import encode

from minik8s.control.apiserver import protobuf

from .compare import Difference, differences, without_zeros
from .recording import Exchange

PROTOBUF = "application/vnd.kubernetes.protobuf"
# Their values differ by nature; that they are there is compared.
_PRESENT = frozenset({"etag", "last-modified", "expires"})
_COMPARED = frozenset(
    {"cache-control", "content-type", "warning", "vary", "accept-ranges", "content-encoding", "x-content-type-options"}
)
_CONNECTION = frozenset({"content-length", "connection"})


@dataclass
class Answer:
    """What our server said. Of a watch, `events` fills up until the replay ends."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    events: "queue.Queue[bytes]" = field(default_factory=queue.Queue)


class Player:
    """One connection for requests and one more for each watch."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, headers: Mapping[str, str] | None = None) -> None:
        self._address = (host, port)
        self._context = context
        self._headers = dict(headers or {})
        self._bindings: dict[str, str] = {}
        self._revisions: dict[str, str] = {}
        self._dates: dict[tuple[str, str], str] = {}  # by path and recorded date
        self._connection = self._connect()
        self._watches: list[tuple[Exchange, HTTPSConnection, Answer]] = []

    def learn_tags(self, recorded: Iterable[Exchange]) -> None:
        """Learn what ours are of the tags that kubectl had from before the recording."""
        for path in ("/api", "/apis"):
            exchange = next(each for each in recorded if each.path == path and each.status == 200)
            self._learn(exchange, self._send(exchange))

    def play(self, exchange: Exchange) -> list[Difference]:
        """Send one request; what differs in its answer. Events of watches are compared by `finish`."""
        answer = self._send(exchange)
        found = list(self._compare(exchange, answer))
        self._learn(exchange, answer)
        return found

    def finish(self, patience_s: float = 5) -> list[Difference]:
        """What differs in the events of all watches; closes all connections."""
        found: list[Difference] = []
        for exchange, _, answer in self._watches:
            ours = []
            with contextlib.suppress(queue.Empty):
                for _ in exchange.event_documents():
                    ours.append(json.loads(answer.events.get(timeout=patience_s)))
            found += self._differences(exchange, exchange.event_documents(), ours)
        for _, connection, _ in self._watches:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(2)
            connection.close()
        self._connection.close()
        return found

    def _connect(self) -> HTTPSConnection:
        return HTTPSConnection(*self._address, context=self._context, timeout=30)

    def _send(self, exchange: Exchange) -> Answer:
        connection = self._connect() if exchange.is_watch or "Upgrade" in exchange.headers else self._connection
        query = self._translated(exchange.query)
        target = exchange.path + (f"?{query}" if query else "")
        headers = {key: value for key, value in exchange.headers.items() if key.lower() not in _CONNECTION}
        if "Upgrade" in headers:
            headers["Connection"] = "Upgrade"
        headers = {
            key: self._dates.get((exchange.path, value), self._translated(value)) for key, value in headers.items()
        }
        connection.request(exchange.method, target, body=self._body(exchange), headers=headers | self._headers)
        response = connection.getresponse()
        if exchange.is_watch:
            answer = Answer(response.status, _lowered(response.getheaders()))
            threading.Thread(target=_pump, args=(response, answer.events), daemon=True).start()
            self._watches.append((exchange, connection, answer))
            return answer
        answer = Answer(response.status, _lowered(response.getheaders()), response.read())
        if connection is not self._connection:
            connection.close()
        return answer

    def _body(self, exchange: Exchange) -> bytes | None:
        if not exchange.body:
            return None
        text = self._translated(exchange.body)
        if text.startswith('{"PB"'):
            return encode(json.loads(text)["PB"])
        return text.encode()

    def _translated(self, text: str) -> str:
        for recorded, ours in self._bindings.items():
            text = text.replace(recorded, ours)
        return re.sub(
            r'(resourceVersion(?:=|":\s*"|\\":\s*\\"))(\d+)',
            lambda found: found[1] + self._revisions.get(found[2], found[2]),
            text,
        )

    def _compare(self, exchange: Exchange, answer: Answer) -> Iterator[Difference]:
        def difference(path: str, recorded: Any, ours: Any) -> Difference:
            return Difference(exchange.label, _request(exchange), path, recorded, ours)

        if answer.status != exchange.status:
            yield difference("status", exchange.status, f"{answer.status} {answer.body[:300]!r}")
            return
        recorded = _lowered(exchange.answer_headers.items())
        for name in sorted(_COMPARED | _PRESENT):
            theirs, ours = recorded.get(name), answer.headers.get(name)
            if (theirs is None) != (ours is None) if name in _PRESENT else theirs != ours:
                yield difference(f"header:{name}", theirs, ours)
        document = exchange.document()
        if document is not None:
            yield from self._differences(exchange, document, _decoded(answer))

    def _differences(self, exchange: Exchange, recorded: Any, ours: Any) -> list[Difference]:
        if exchange.is_protobuf():
            recorded, ours = without_zeros(recorded), without_zeros(ours)
        return [Difference(exchange.label, _request(exchange), *each) for each in differences(recorded, ours)]

    def _learn(self, exchange: Exchange, answer: Answer) -> None:
        recorded = _lowered(exchange.answer_headers.items())
        if "etag" in recorded and "etag" in answer.headers:
            self._bindings[recorded["etag"].strip('"')] = answer.headers["etag"].strip('"')
        if "last-modified" in recorded and "last-modified" in answer.headers:
            self._dates[exchange.path, recorded["last-modified"]] = answer.headers["last-modified"]
        document = exchange.document()
        if isinstance(document, dict):
            self._bind(document, _decoded(answer))

    def _bind(self, recorded: Any, ours: Any) -> None:
        if isinstance(recorded, dict) and isinstance(ours, dict):
            for key, value in recorded.items():
                other = ours.get(key)
                if key == "uid" and isinstance(value, str) and isinstance(other, str):
                    self._bindings[value] = other
                elif key == "resourceVersion" and isinstance(value, str) and isinstance(other, str):
                    self._revisions[value] = other
                else:
                    self._bind(value, other)
        elif isinstance(recorded, list) and isinstance(ours, list):
            for value, other in zip(recorded, ours, strict=False):
                self._bind(value, other)


def _pump(response: HTTPResponse, events: "queue.Queue[bytes]") -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        while line := response.readline():
            events.put(line)


def _decoded(answer: Answer) -> Any:
    if protobuf.is_protobuf(answer.headers.get("content-type", "")):
        return json.loads(protobuf.to_json(answer.body))
    try:
        return json.loads(answer.body)
    except ValueError:
        return answer.body.decode(errors="replace")


def _lowered(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def _request(exchange: Exchange) -> str:
    return f"{exchange.method} {exchange.path}"
