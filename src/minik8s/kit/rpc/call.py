"""One call: the messages that came, those that are to go, and how it ends.

A method of one request and one answer never sees it; a method that streams reads `requests` and awaits `write`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from minik8s.kit.rpc import frames, headers
from minik8s.kit.rpc.headers import Head
from minik8s.kit.rpc.methods import Method
from minik8s.kit.rpc.status import Code, RpcError

if TYPE_CHECKING:
    from minik8s.kit.rpc.connection import Connection

_PREFIX_BYTES = 5  # whether compressed, and the length


class Call:
    """A stream of the connection, numbered `stream_id`."""

    __slots__ = (
        "_arrived", "_connection", "_drained", "_ending", "_has_begun", "_messages", "_outlet", "_pending", "_sent",
        "body", "credit", "head", "held_bytes", "is_closed", "is_half_closed", "method", "stream_id",
        "task", "timer", "unread_bytes", "window",
    )  # fmt: skip

    def __init__(self, connection: "Connection", stream_id: int, head: Head, method: Method, window: int) -> None:
        self.stream_id = stream_id
        self.head = head
        self.method = method
        self.window = window
        """How many bytes the client lets us send yet."""
        self.credit = 0
        """How many bytes the client sent that its window was not given back."""
        self.body = b""
        """What came and is no whole message yet."""
        self.held_bytes = 0
        """The connection's account of it."""
        self.is_half_closed = False
        self.is_closed = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self._connection = connection
        self._outlet = connection.outlet
        self._messages: deque[bytes] = deque()
        self.unread_bytes = 0
        """Of whole messages that the method has not taken."""
        self._arrived: asyncio.Future[None] | None = None
        self._pending = b""
        self._sent = 0
        """How much of it has gone."""
        self._ending = b""
        self._has_begun = False
        self._drained: asyncio.Future[None] | None = None

    # For methods.

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Names in lower case, and values, as the client sent them."""
        return self.head.metadata

    @property
    def peer_certificate(self) -> Mapping[str, Any]:
        """What `ssl` says of the client's verified certificate; empty if there is none."""
        return self._connection.peer_certificate

    @property
    def requests(self) -> AsyncIterator[bytes]:
        """Messages until the client sends no more."""
        return self._read()

    async def write(self, message: bytes) -> None:
        """Send a message; returns when the client and the network have room for more. One task at a time."""
        self._send(message)
        if self._pending or self._outlet.is_full:
            self._outlet.hold(self)
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    # For the connection.

    def take(self, data: bytes, limit_bytes: int) -> None:
        """Bytes came. Raises RpcError."""
        self.body = self.body + data if self.body else data
        while len(self.body) >= _PREFIX_BYTES:
            length = int.from_bytes(self.body[1:_PREFIX_BYTES], "big")
            if self.body[0]:
                text = f'grpc: Decompressor is not installed for grpc-encoding "{self.head.encoding}"'
                raise RpcError(Code.UNIMPLEMENTED, text)
            if length > limit_bytes:
                text = f"grpc: received message larger than max ({length} vs. {limit_bytes})"
                raise RpcError(Code.RESOURCE_EXHAUSTED, text)
            end = _PREFIX_BYTES + length
            if len(self.body) < end:
                return
            self._messages.append(self.body[_PREFIX_BYTES:end])
            self.unread_bytes += end
            self.body = self.body[end:]
            self._wake()

    def half_close(self) -> None:
        """The client sends no more."""
        self.is_half_closed = True
        self._wake()

    def only_message(self) -> bytes:
        """The request of a unary call. Raises RpcError if there is not exactly one."""
        if len(self._messages) != 1 or self.body:
            raise RpcError(Code.INTERNAL, "grpc: a unary call has one request message")
        return self._messages[0]

    def answer(self, message: bytes) -> None:
        """The only answer, and success."""
        self._ending = headers.SUCCESS
        self._send(message)

    def end(self, code: Code = Code.OK, text: str = "") -> None:
        """No more answers."""
        if self.is_closed or self._ending:
            return
        self._ending = headers.SUCCESS if code is Code.OK else headers.trailers(code, text)
        if code is not Code.OK:
            self._pending, self._sent = b"", 0
        self.pump()

    def pump(self) -> None:
        """Send what windows and network let through."""
        if self.is_closed:
            return
        parts: list[bytes] = []
        if not self._has_begun:
            self._has_begun = True
            if not self._pending and self._ending != headers.SUCCESS:
                # A failure without a message is said in one block.
                self._ending = headers.INITIAL + self._ending
            else:
                parts.append(frames.frame(frames.HEADERS, frames.END_HEADERS, self.stream_id, headers.INITIAL))
        outlet, start, end = self._outlet, self._sent, len(self._pending)
        while start < end:
            size = min(end - start, self.window, outlet.window, outlet.frame_bytes_max)
            if size <= 0 or outlet.is_full:
                outlet.hold(self)
                break
            parts.append(frames.frame(frames.DATA, 0, self.stream_id, self._pending[start : start + size]))
            start += size
            self.window -= size
            outlet.window -= size
        if start * 2 >= end:  # Not sooner: a large answer would be copied at every window that opens.
            self._pending, start = self._pending[start:], 0
        self._sent = start
        if self._ending and not self._pending:
            flags = frames.END_HEADERS | frames.END_STREAM
            parts.append(frames.frame(frames.HEADERS, flags, self.stream_id, self._ending))
            if not self.is_half_closed:
                # As RFC 9113 §8.1: the answer is whole, whatever else the client meant to send.
                parts.append(frames.rst_stream(self.stream_id, frames.ErrorCode.NO_ERROR))
            self.close()
        if parts:
            outlet.strikes = 0
            outlet.send(b"".join(parts))
        if self._drained and not self._drained.done():
            if self._pending or outlet.is_full:
                outlet.hold(self)
            else:
                self._drained.set_result(None)

    def close(self) -> None:
        """Nothing is sent or waited for any more."""
        self.is_closed = True
        self._pending, self._sent = b"", 0
        if self.timer:
            self.timer.cancel()
        self._connection.forget(self)

    def abandon(self) -> None:
        """The client has left, or its time is up: whatever the method does is in vain."""
        self.close()
        if self.task:
            self.task.cancel()

    # Within.

    def _send(self, message: bytes) -> None:
        if self.is_closed:
            return
        self._pending += b"\x00" + len(message).to_bytes(4, "big") + message
        self.pump()

    async def _read(self) -> AsyncIterator[bytes]:
        while True:
            while self._messages:
                message = self._messages.popleft()
                self.unread_bytes -= len(message) + _PREFIX_BYTES
                self._connection.refill(self)
                yield message
            if self.is_half_closed:
                return
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived

    def _wake(self) -> None:
        if self._arrived and not self._arrived.done():
            self._arrived.set_result(None)
