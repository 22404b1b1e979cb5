"""A load of HTTP/1.1 requests over TLS, one in flight per connection, as bare as it can be: run as a process.

    python http1.py '{"address": …, "identity": […], "connections": 64, "seconds": 3, "job": "create"}'

Prints one line of JSON: answers per second and their latencies. Job "watch" opens watches instead, writes at a steady
rate, and measures from before a write is sent to when each watch has its event.
"""

import asyncio
import json
import ssl
import sys
import time
from typing import Any

import uvloop

PODS = "/api/v1/namespaces/default/pods"
POD = {
    "metadata": {"generateName": "bench-", "labels": {"app": "bench", "tier": "web"}},
    "spec": {
        "containers": [
            {
                "name": "web",
                "image": "registry.example.com/web:1.2.3",
                "ports": [{"containerPort": 80}],
                "env": [{"name": "A", "value": "b"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
            }
        ]
    },
}
WATCH_WRITES_PER_S = 20


class Connection(asyncio.Protocol):
    """One connection; `ask` sends a request and waits for its whole answer."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self.lines: asyncio.Queue[bytes] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.lines is not None:
            self.lines.put_nowait(data)
            return
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or self._waiting is None:
            return
        head = bytes(self._data[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._data) >= end + 4 + length:
            body = bytes(self._data[end + 4 : end + 4 + length])
            del self._data[: end + 4 + length]
            waiting, self._waiting = self._waiting, None
            waiting.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """(status, body)."""
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting


def request(method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


class Load:
    """One job."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.names: list[str] = spec.get("names", [])
        self.latencies: list[float] = []
        self.numbers = iter(range(10**9))
        context = ssl.create_default_context(cafile=spec["identity"][2])
        context.load_cert_chain(spec["identity"][0], spec["identity"][1])
        context.check_hostname = False
        self.context = context

    async def connect(self) -> Connection:
        host, port = self.spec["address"].split(":")
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, host, int(port), ssl=self.context)
        return connection

    def next(self) -> bytes | None:
        """The next request; None when there is nothing left to do."""
        number = next(self.numbers)
        job = self.spec["job"]
        if job == "create":
            return request("POST", PODS, json.dumps(POD).encode())
        if job == "list":
            return request("GET", f"{PODS}{self.spec.get('query', '')}")
        if job == "delete":
            if number >= len(self.names):
                return None
            return request("DELETE", f"{PODS}/{self.names[number]}?gracePeriodSeconds=0")
        name = self.names[number % len(self.names)]
        if job == "get":
            return request("GET", f"{PODS}/{name}")
        assert job == "patch"
        patch = json.dumps({"metadata": {"annotations": {"n": str(number)}}}).encode()
        return request("PATCH", f"{PODS}/{name}", patch, "application/merge-patch+json")

    async def work(self, end_s: float) -> None:
        connection = await self.connect()
        while time.monotonic() < end_s and (asked := self.next()):
            begun_s = time.monotonic()
            status, body = await connection.ask(asked)
            self.latencies.append(time.monotonic() - begun_s)
            if status >= 300:
                raise RuntimeError(f"{status}: {body[:300]!r}")
        connection.transport.close()

    async def run(self) -> dict[str, float]:
        if self.spec["job"] == "watch":
            return await self.watch()
        begun_s = time.monotonic()
        await asyncio.gather(*(self.work(begun_s + self.spec["seconds"]) for _ in range(self.spec["connections"])))
        return self.figures(time.monotonic() - begun_s)

    async def watch(self) -> dict[str, float]:
        """Latencies of events at many watches."""
        query = "?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
        watches = []
        for _ in range(self.spec["connections"]):
            connection = await self.connect()
            connection.lines = asyncio.Queue()
            connection.transport.write(request("GET", PODS + query))
            head = await asyncio.wait_for(connection.lines.get(), 10)
            assert b" 200 " in head, head
            watches.append(asyncio.ensure_future(self.follow(connection)))
        writer = await self.connect()
        await asyncio.sleep(0.5)
        begun_s = time.monotonic()
        for number in range(int(self.spec["seconds"] * WATCH_WRITES_PER_S)):
            await asyncio.sleep(begun_s + number / WATCH_WRITES_PER_S - time.monotonic())
            patch = json.dumps({"metadata": {"annotations": {"sent": f"<{time.monotonic()}>"}}}).encode()
            asked = request("PATCH", f"{PODS}/{self.names[0]}", patch, "application/merge-patch+json")
            status, body = await writer.ask(asked)
            assert status == 200, body
        await asyncio.sleep(0.5)
        for watch in watches:
            watch.cancel()
        return self.figures(time.monotonic() - begun_s)

    async def follow(self, connection: Connection) -> None:
        assert connection.lines is not None
        data = b""
        while True:
            data += await connection.lines.get()
            while (at := data.find(b'"sent":"<')) >= 0 and (end := data.find(b'>"', at)) >= 0:
                self.latencies.append(time.monotonic() - float(data[at + 9 : end]))
                data = data[end + 2 :]

    def figures(self, seconds: float) -> dict[str, float]:
        found = sorted(self.latencies)
        return {
            "per_s": round(len(found) / seconds, 1),
            "p50_ms": round(found[len(found) // 2] * 1000, 2) if found else 0.0,
            "p99_ms": round(found[int(len(found) * 0.99)] * 1000, 2) if found else 0.0,
            "count": len(found),
        }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(Load(json.loads(sys.argv[1])).run())))
