"""One HTTP/2 connection of a gRPC client (RFC 9113): frames in, calls started, frames out.

Everything that is to go out in one pass of the loop goes in one write. A peer that breaks the protocol, floods it, or
takes nothing is told so and cut off; what it can make us hold is bounded by `Limits`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

from minik8s.kit.log import get_logger
from minik8s.kit.rpc import frames, headers
from minik8s.kit.rpc.call import Call
from minik8s.kit.rpc.frames import ConnectionFault, ErrorCode
from minik8s.kit.rpc.headers import HeaderDecoder
from minik8s.kit.rpc.keepalive import KeepAlive
from minik8s.kit.rpc.limits import Limits
from minik8s.kit.rpc.methods import Resolve, Streaming, Unary, run_streaming, run_unary
from minik8s.kit.rpc.outlet import Outlet
from minik8s.kit.rpc.status import Code, RpcError

log = get_logger(__name__)

_HEADER_BLOCK_BYTES_MAX = 4 * headers.HEADER_LIST_BYTES_MAX
_CREDIT_BYTES = 1 << 30


class Connection(asyncio.Protocol):
    """`other` makes the protocol of connections that do not speak HTTP/2, if they are served at all."""

    def __init__(
        self,
        resolve: Resolve,
        limits: Limits,
        connections: "set[Connection]",
        other: Callable[[], asyncio.Protocol] | None = None,
    ) -> None:
        self.calls: dict[int, Call] = {}
        self.outlet: Outlet
        self.closed = asyncio.Event()
        self._resolve = resolve
        self._limits = limits
        self._connections = connections
        self._other = other
        self._transport: asyncio.Transport
        self._keepalive: KeepAlive
        self._loop = asyncio.get_running_loop()
        self._decoder = HeaderDecoder()
        self._input = b""
        self._has_preface = False
        self._initial_window = frames.WINDOW_DEFAULT
        self._last_stream_id = 0
        self._block: tuple[int, int, bytes] | None = None
        """Of an unfinished header block: stream, flags of its first frame, bytes."""
        self._credit = 0
        self._held_bytes = 0
        self._running: set[asyncio.Task[None]] = set()
        self._is_going_away = False

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's have the methods but not the type
        self._connections.add(self)
        self.outlet = Outlet(self._transport, self._limits.unsent_bytes_max)
        self._keepalive = KeepAlive(self._limits, self.outlet, self.abort)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._keepalive.end()
        self.closed.set()
        for call in list(self.calls.values()):
            call.abandon()

    def pause_writing(self) -> None:
        self.outlet.is_full = True

    def resume_writing(self) -> None:
        self.outlet.is_full = False
        self.outlet.release_all()

    def data_received(self, data: bytes) -> None:
        data = self._input + data if self._input else data
        self._keepalive.has_heard = True
        start = 0
        try:
            if not self._has_preface:
                if not self._take_preface(data):
                    return
                start = len(frames.PREFACE)
            start = self._take_frames(data, start)
        except ConnectionFault as fault:
            self._fail(fault)
            return
        self._input = data[start:]

    def _take_preface(self, data: bytes) -> bool:
        """Whether the client has said that it speaks HTTP/2. Raises ConnectionFault."""
        wanted = frames.PREFACE
        if data[: len(wanted)] != wanted[: len(data)]:
            if self._other is None:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2")
            self._hand_on(data)
            return False
        if len(data) < len(wanted):
            self._input = data
            return False
        self._has_preface = True
        limits = self._limits
        self.outlet.send(
            frames.settings(
                {
                    frames.MAX_CONCURRENT_STREAMS: limits.calls_max,
                    frames.INITIAL_WINDOW_SIZE: limits.window_bytes,
                    frames.MAX_HEADER_LIST_SIZE: headers.HEADER_LIST_BYTES_MAX,
                }
            )
            + frames.window_update(0, frames.WINDOW_MAX - frames.WINDOW_DEFAULT)
        )
        self._keepalive.begin()
        return True

    def _hand_on(self, data: bytes) -> None:
        assert self._other
        self._connections.discard(self)
        self._keepalive.end()
        self.closed.set()
        protocol = self._other()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def _take_frames(self, data: bytes, start: int) -> int:
        """Handle every whole frame from `start` on; where the next one begins. Raises ConnectionFault."""
        end = len(data)
        while end - start >= frames.HEADER_BYTES:
            length = int.from_bytes(data[start : start + 3], "big")
            if length > frames.FRAME_BYTES_MAX:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            next_start = start + frames.HEADER_BYTES + length
            if next_start > end:
                break
            kind, flags = data[start + 3], data[start + 4]
            stream_id = int.from_bytes(data[start + 5 : start + 9], "big") & frames.WINDOW_MAX
            payload = data[start + 9 : next_start]
            start = next_start
            if self._block and kind != frames.CONTINUATION:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
            if kind == frames.DATA:
                self._on_data(stream_id, flags, payload)
            elif kind == frames.HEADERS:
                self._on_headers(stream_id, flags, payload)
            else:
                self._on_control(kind, stream_id, flags, payload)
        return start

    def _on_headers(self, stream_id: int, flags: int, payload: bytes) -> None:
        if not stream_id % 2:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a client does not open stream {stream_id}")
        block = frames.header_block(payload, flags)
        if flags & frames.END_HEADERS:
            self._on_block(stream_id, flags, block)
        else:
            self._block = (stream_id, flags, block)

    def _on_continuation(self, stream_id: int, flags: int, payload: bytes) -> None:
        if not self._block or self._block[0] != stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block continues that never began")
        _, first_flags, block = self._block
        block += payload
        if len(block) > _HEADER_BLOCK_BYTES_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
        self._block = (stream_id, first_flags, block)
        if flags & frames.END_HEADERS:
            self._block = None
            self._on_block(stream_id, first_flags, block)

    def _on_block(self, stream_id: int, flags: int, block: bytes) -> None:
        call = self.calls.get(stream_id)
        if call or stream_id <= self._last_stream_id:
            self._decoder.skip(block)
            if call and not flags & frames.END_STREAM:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a second header block within a call")
            if call:
                self._on_end(call)
            return
        head = self._decoder.decode(block)
        self._last_stream_id = stream_id
        # Cancelled calls count until they have ended: who resets what it opens gains nothing.
        if self._is_going_away or max(len(self.calls), len(self._running)) >= self._limits.calls_max:
            self.outlet.send(frames.rst_stream(stream_id, ErrorCode.REFUSED_STREAM))
            return
        if head.http_status != 200:
            ends = frames.END_HEADERS | frames.END_STREAM
            self.outlet.send(frames.frame(frames.HEADERS, ends, stream_id, headers.http_error(head.http_status)))
            self.outlet.send(frames.rst_stream(stream_id, ErrorCode.NO_ERROR))
            return
        method = self._resolve(head)
        call = self.calls[stream_id] = Call(self, stream_id, head, method, self._initial_window)
        if head.timeout_s is not None:
            call.timer = self._loop.call_later(head.timeout_s, self._expire, call)
        if isinstance(method, Streaming):
            self._start(call, run_streaming(method, call))
        if flags & frames.END_STREAM:
            self._on_end(call)

    def _on_data(self, stream_id: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        self._credit += size
        if self._credit >= _CREDIT_BYTES:
            self.outlet.send(frames.window_update(0, self._credit))
            self._credit = 0
        call = self.calls.get(stream_id)
        if call is None:
            if stream_id > self._last_stream_id or not stream_id % 2:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"data of stream {stream_id}, which is not open")
            return  # It ended while this was on its way.
        if call.is_half_closed:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "data after the end of a request")
        call.credit += size
        if call.credit > self._limits.window_bytes:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window allows")
        try:
            call.take(frames.unpadded(payload, flags), self._limits.message_bytes_max)
        except RpcError as error:
            call.end(error.code, error.text)
            call.abandon()
            return
        self._held_bytes += len(call.body) - call.held_bytes
        call.held_bytes = len(call.body)
        if self._held_bytes > self._limits.held_bytes_max:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too much of unfinished requests")
        if flags & frames.END_STREAM:
            self._on_end(call)
        else:
            self.refill(call)

    def _on_end(self, call: Call) -> None:
        """The client has sent all of a call."""
        call.half_close()
        if isinstance(call.method, Unary):
            try:
                message = call.only_message()
            except RpcError as error:
                call.end(error.code, error.text)
                return
            self._start(call, run_unary(call.method, message, call))

    def _on_control(self, kind: int, stream_id: int, flags: int, payload: bytes) -> None:
        match kind:
            case frames.SETTINGS if not flags & frames.ACK:
                values = frames.parse_settings(payload)
                # First: the peer counts by the new window only what comes after this.
                self.outlet.reply(frames.frame(frames.SETTINGS, frames.ACK, 0))
                self._on_settings(values)
            case frames.WINDOW_UPDATE:
                self._on_window_update(stream_id, payload)
            case frames.RST_STREAM:
                if stream_id == 0 or stream_id > self._last_stream_id or len(payload) != 4:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "RST_STREAM of what is not open")
                if call := self.calls.get(stream_id):
                    call.abandon()
            case frames.PING if not flags & frames.ACK:
                if len(payload) != 8:
                    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a PING of a length other than 8")
                self._keepalive.on_ping()
                self.outlet.reply(frames.frame(frames.PING, frames.ACK, 0, payload))
            case frames.CONTINUATION:
                self._on_continuation(stream_id, flags, payload)
            case frames.PUSH_PROMISE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a client does not push")
            case frames.GOAWAY:
                self._is_going_away = True  # It opens no more streams; those that are open go on.

    def _on_settings(self, values: Mapping[int, int]) -> None:
        if (window := values.get(frames.INITIAL_WINDOW_SIZE)) is not None:
            if window > frames.WINDOW_MAX:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window above 2^31-1")
            for call in self.calls.values():
                call.window += window - self._initial_window
            self._initial_window = window
            self.outlet.release_all()
        if (size := values.get(frames.MAX_FRAME_SIZE)) is not None:
            if not frames.FRAME_BYTES_MAX <= size < 1 << 24:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame size out of bounds")
            self.outlet.frame_bytes_max = size

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        increment = int.from_bytes(payload, "big") & frames.WINDOW_MAX
        if len(payload) != 4 or not increment:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        if stream_id == 0:
            self.outlet.window += increment
            if self.outlet.window > frames.WINDOW_MAX:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window above 2^31-1")
            self.outlet.release_all()
        elif call := self.calls.get(stream_id):
            call.window += increment
            if call.window > frames.WINDOW_MAX:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window above 2^31-1")
            self.outlet.release(stream_id)

    # For calls.

    @property
    def peer_certificate(self) -> Mapping[str, Any]:
        """See `Call.peer_certificate`."""
        return self._transport.get_extra_info("peercert") or {}

    def refill(self, call: Call) -> None:
        """Let the client send on, unless the method does not keep up."""
        window_bytes = self._limits.window_bytes
        if call.credit * 2 >= window_bytes > call.unread_bytes and not call.is_half_closed:
            if not call.is_closed:
                self.outlet.send(frames.window_update(call.stream_id, call.credit))
            call.credit = 0

    def forget(self, call: Call) -> None:
        """The call has ended."""
        if self.calls.pop(call.stream_id, None):
            self._held_bytes -= call.held_bytes
            self.outlet.forget(call.stream_id)
            if self._is_going_away and not self.calls:
                self._loop.call_soon(self._leave)

    # For the server.

    def go_away(self) -> None:
        """Take no new calls, and close when those that run have ended."""
        if not self._is_going_away:
            self._is_going_away = True
            self.outlet.send(frames.goaway(self._last_stream_id, ErrorCode.NO_ERROR))
        if not self.calls:
            self._leave()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    # Within.

    def _leave(self) -> None:
        self.outlet.flush()
        self._transport.close()

    def _start(self, call: Call, work: Coroutine[Any, Any, None]) -> None:
        call.task = task = self._loop.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _expire(self, call: Call) -> None:
        call.end(Code.DEADLINE_EXCEEDED, "context deadline exceeded")
        if not call.is_closed:
            # Its answer waits for a window that the client never opened.
            self.outlet.send(frames.rst_stream(call.stream_id, ErrorCode.CANCEL))
        call.abandon()

    def _fail(self, fault: ConnectionFault) -> None:
        log.warning("closes a client's connection", peer=str(self._transport.get_extra_info("peername")), why=fault.why)
        self.outlet.send(frames.goaway(self._last_stream_id, fault.code, fault.why))
        self._leave()
