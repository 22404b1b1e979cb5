"""A client that speaks HTTP/2 by hand, well or badly, and the server it speaks to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import hpack

from minik8s.kit.rpc import frames
from minik8s.kit.rpc.call import Call
from minik8s.kit.rpc.limits import Limits
from minik8s.kit.rpc.methods import Streaming, Unary, refusing
from minik8s.kit.rpc.server import RpcServer
from minik8s.kit.rpc.status import Code, RpcError

TIMEOUT_S = 5.0
DEFAULT_SETTINGS = frames.settings({})


@dataclass
class Methods:
    """What the tests' server serves, and what became of it."""

    release: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: int = 0
    certificates: list = field(default_factory=list)

    def find(self, head):
        """Methods by the last part of their path."""
        methods = {
            "Echo": Unary(self.echo),
            "Fail": Unary(self.fail),
            "Break": Unary(self.broken),
            "Wait": Unary(self.wait),
            "Stream": Streaming(self.stream),
            "Flood": Streaming(self.flood),
            "Idle": Streaming(self.idle),
        }
        unknown = refusing(RpcError(Code.UNIMPLEMENTED, f"unknown method {head.path}"))
        return methods.get(head.path.rpartition("/")[2], unknown)

    async def echo(self, request: bytes, call: Call) -> bytes:
        self.certificates.append(call.peer_certificate)
        return request

    async def fail(self, request: bytes, call: Call) -> bytes:
        raise RpcError(Code.OUT_OF_RANGE, request.decode())

    async def broken(self, request: bytes, call: Call) -> bytes:
        raise KeyError("a secret")

    async def wait(self, request: bytes, call: Call) -> bytes:
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return request

    async def stream(self, call: Call) -> None:
        async for message in call.requests:
            await call.write(message)

    async def flood(self, call: Call) -> None:
        """As many messages of so many bytes as the first request says."""
        async for message in call.requests:
            number, size = map(int, message.split())
            for _ in range(number):
                await call.write(b"x" * size)
            return

    async def idle(self, call: Call) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@asynccontextmanager
async def serving(
    limits: Limits | None = None, *, context: ssl.SSLContext | None = None, other=None
) -> AsyncIterator[tuple[Methods, RpcServer, int]]:
    """(methods, server, port) while the context lasts."""
    methods = Methods()
    server = RpcServer(methods.find, limits or Limits(), context=context, other=other)
    port = await server.listen("127.0.0.1", 0)
    try:
        yield methods, server, port
    finally:
        await server.stop(0)


@dataclass
class Frame:
    """One that the server sent."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()

    @classmethod
    async def connect(cls, port: int, *, first: bytes = frames.PREFACE + DEFAULT_SETTINGS) -> "Peer":
        peer = cls(*await asyncio.open_connection("127.0.0.1", port))
        peer.send(first)
        return peer

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    def headers(self, stream_id: int, method: str = "Echo", *, flags: int = 0, **more: str) -> bytes:
        """HEADERS that open a call."""
        fields = [
            (":method", more.pop("verb", "POST")),
            (":scheme", "http"),
            (":path", f"/test.Service/{method}"),
            ("content-type", more.pop("content_type", "application/grpc")),
            *((name.replace("_", "-"), value) for name, value in more.items()),
        ]
        return frames.frame(frames.HEADERS, frames.END_HEADERS | flags, stream_id, self.encoder.encode(fields))

    def message(self, stream_id: int, data: bytes = b"hello", *, flags: int = frames.END_STREAM) -> bytes:
        """DATA with one whole message."""
        return frames.frame(frames.DATA, flags, stream_id, b"\x00" + len(data).to_bytes(4, "big") + data)

    async def read(self, *kinds: int) -> Frame:
        """The next frame of these kinds; those before it are passed over. EOFError when the server hangs up."""
        while True:
            async with asyncio.timeout(TIMEOUT_S):
                head = await self.reader.readexactly(frames.HEADER_BYTES)
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
            if not kinds or head[3] in kinds:
                return Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)

    async def fields(self, stream_id: int) -> dict[str, str]:
        """What the next HEADERS of a stream say."""
        while True:
            frame = await self.read(frames.HEADERS)
            fields = dict(self.decoder.decode(frame.payload))
            if frame.stream_id == stream_id:
                return fields

    async def farewell(self) -> tuple[str, str]:
        """(code, why) of the GOAWAY with which the server hangs up."""
        frame = await self.read(frames.GOAWAY)
        async with asyncio.timeout(TIMEOUT_S):
            assert await self.reader.read() is not None
        return frames.ErrorCode(int.from_bytes(frame.payload[4:8], "big")).name, frame.payload[8:].decode()
