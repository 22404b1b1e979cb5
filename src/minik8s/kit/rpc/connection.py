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
from minik8s.kit.rpc.inlet import Inlet, NotHttp2
from minik8s.kit.rpc.keepalive import KeepAlive
from minik8s.kit.rpc.limits import Limits
from minik8s.kit.rpc.methods import Resolve, Streaming, Unary, run_streaming, run_unary
from minik8s.kit.rpc.outlet import Outlet
from minik8s.kit.rpc.status import Code, RpcError

log = get_logger(__name__)

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
        self._inlet = Inlet()
        self._initial_window = frames.WINDOW_DEFAULT
        self._last_stream_id = 0
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
        self._keepalive.has_heard = True
        try:
            if not self._inlet.has_preface:
                rest = self._inlet.take_preface(data)
                if rest is None:
                    return
                data = rest
                self._greet()
            for kind, flags, stream_id, payload in self._inlet.feed(data):
                if kind == frames.DATA:
                    self._on_data(stream_id, flags, payload)
                elif kind == frames.HEADERS:
                    self._on_headers(stream_id, flags, payload)
                else:
                    self._on_control(kind, stream_id, flags, payload)
        except NotHttp2 as other:
            if self._other:
                self._hand_on(self._other(), other.data)
            else:
                self._fail(ConnectionFault(ErrorCode.PROTOCOL_ERROR, str(other)))
        except ConnectionFault as fault:
            self._fail(fault)

    def _greet(self) -> None:
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

    def _hand_on(self, other: asyncio.Protocol, data: bytes) -> None:
        self._connections.discard(self)
        self._keepalive.end()
        self.closed.set()
        self._transport.set_protocol(other)
        other.connection_made(self._transport)
        other.data_received(data)

    def _on_headers(self, stream_id: int, flags: int, block: bytes) -> None:
        if not stream_id % 2:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a client does not open stream {stream_id}")
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
