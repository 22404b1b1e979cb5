"""Two sockets, each copying to the other, with both directions ending on their own (half-close).

Protocols rather than streams: one call per chunk, no task per connection. Back-pressure is the transports': a side
that cannot write stops the other one's reading.
"""

import asyncio
import contextlib
import socket
from typing import cast

HIGH_WATER_BYTES = 256 * 1024


class Side(asyncio.Protocol):
    """One end. Reading is paused until `join`; uvloop begins to read all the same, so what comes early is kept."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: Side | None = None
        self.has_ended = False  # its sender has sent everything
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, as uvloop's transports are Transports by behaviour only.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self.transport.pause_reading()
        connection = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self._early.append(data)
            if self.transport:
                self.transport.pause_reading()
        elif self.peer.transport:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        self.has_ended = True
        return self.peer is None or self._end(self.peer)

    def meet(self, peer: "Side") -> None:
        """Begin to pass on to `peer`: what came early, then what comes."""
        assert self.transport and peer.transport
        self.peer = peer
        early, self._early = self._early, []
        peer.transport.writelines(early)
        if self.transport.is_closing():
            peer.transport.close()
        elif self.has_ended:
            self._end(peer)
        else:
            self.transport.resume_reading()

    def _end(self, peer: "Side") -> bool:
        """Tell the peer that nothing more comes; False if this side can be closed too."""
        if peer.transport is None or peer.transport.is_closing():
            return False
        if peer.has_ended:
            peer.transport.close()
            return False
        with contextlib.suppress(OSError, RuntimeError):
            peer.transport.write_eof()
        return True  # stay open for what the peer still sends

    def connection_lost(self, error: Exception | None) -> None:
        peer, self.peer = self.peer, None
        if peer is None or peer.transport is None:
            return
        if error is not None:
            # A reset on one side is a reset on the other: a cut-off answer must not look complete.
            peer.reset()
        else:
            peer.transport.close()

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and self.peer.transport and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def reset(self) -> None:
        """End the connection so that its other end sees an error rather than an end of file."""
        if self.transport is None or self.transport.is_closing():
            return
        connection = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            # Linger for zero seconds: close sends RST.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.transport.abort()


def join(client: Side, server: Side) -> None:
    """Let the two talk; if one is gone already, the other is ended."""
    client.peer, server.peer = server, client
    client.meet(server)
    server.meet(client)
