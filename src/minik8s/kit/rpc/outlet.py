"""What goes out of a connection: gathered in one pass of the loop, held back by windows and by a slow network."""

import asyncio
from typing import Protocol

from minik8s.kit.rpc import frames
from minik8s.kit.rpc.frames import ConnectionFault, ErrorCode

_FLUSH_BYTES = 256 * 1024


class Sender(Protocol):
    """A call, as the outlet knows it."""

    stream_id: int

    def pump(self) -> None:
        """Send what may be sent now."""


class Outlet:
    """The sending half of one connection."""

    def __init__(self, transport: asyncio.Transport, unsent_bytes_max: int) -> None:
        self.window = frames.WINDOW_DEFAULT
        """How many bytes the client lets us send yet, on all calls together."""
        self.frame_bytes_max = frames.FRAME_BYTES_MAX
        self.is_full = False
        """Whether the network takes no more for now."""
        self.strikes = 0
        """Pings that came too soon, since the last answer of a call."""
        self._transport = transport
        self._unsent_bytes_max = unsent_bytes_max
        self._loop = asyncio.get_running_loop()
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._flush_is_due = False
        self._held: dict[int, Sender] = {}

    def send(self, data: bytes) -> None:
        """Send with whatever else this pass of the loop brings."""
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _FLUSH_BYTES:
            self.flush()
        elif not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush_due)

    def reply(self, data: bytes) -> None:
        """Answer what costs the client nothing to ask. Raises ConnectionFault if it does not read the answers."""
        if self._transport.get_write_buffer_size() + self._gathered_bytes > self._unsent_bytes_max:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "answers are not taken")
        self.send(data)

    def flush(self) -> None:
        """Hand everything to the network."""
        if self._gathered and not self._transport.is_closing():
            self._transport.write(b"".join(self._gathered))
        self._gathered.clear()
        self._gathered_bytes = 0

    def hold(self, call: Sender) -> None:
        """Pump the call again when there is room."""
        self._held[call.stream_id] = call

    def release(self, stream_id: int) -> None:
        """There is room in this call's own window."""
        if call := self._held.pop(stream_id, None):
            call.pump()

    def release_all(self) -> None:
        """There is room in the connection."""
        held, self._held = self._held, {}
        for call in held.values():
            call.pump()

    def forget(self, stream_id: int) -> None:
        """The call has ended."""
        self._held.pop(stream_id, None)

    def _flush_due(self) -> None:
        self._flush_is_due = False
        self.flush()
