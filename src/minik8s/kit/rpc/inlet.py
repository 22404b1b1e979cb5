"""What comes in on a connection: the preface, then frames, with header blocks put together. Pure."""

from collections.abc import Iterator

from minik8s.kit.rpc import frames
from minik8s.kit.rpc.frames import ConnectionFault, ErrorCode
from minik8s.kit.rpc.headers import HEADER_LIST_BYTES_MAX

_HEADER_BLOCK_BYTES_MAX = 4 * HEADER_LIST_BYTES_MAX

Frame = tuple[int, int, int, bytes]
"""Kind, flags, stream, payload."""


class NotHttp2(Exception):
    """The peer speaks something else; `data` is all it has said."""

    def __init__(self, data: bytes) -> None:
        super().__init__("this is not HTTP/2")
        self.data = data


class Inlet:
    """The receiving half of one connection, byte by byte if need be."""

    def __init__(self) -> None:
        self.has_preface = False
        self._input = b""
        self._block: tuple[int, int, bytes] | None = None
        """Of an unfinished header block: stream, flags of its first frame, bytes."""

    def take_preface(self, data: bytes) -> bytes | None:
        """What follows the preface, None while it is not whole. Raises NotHttp2."""
        data = self._input + data
        wanted = frames.PREFACE
        if data[: len(wanted)] != wanted[: len(data)]:
            raise NotHttp2(data)
        if len(data) < len(wanted):
            self._input = data
            return None
        self.has_preface, self._input = True, b""
        return data[len(wanted) :]

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Every frame that is whole now; HEADERS bring their whole block, without padding. Raises ConnectionFault."""
        data = self._input + data if self._input else data
        start, end = 0, len(data)
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
            if kind == frames.HEADERS or kind == frames.CONTINUATION or self._block:
                frame = self._gather(kind, flags, stream_id, payload)
                if frame:
                    yield frame
            else:
                yield kind, flags, stream_id, payload
        self._input = data[start:]

    def _gather(self, kind: int, flags: int, stream_id: int, payload: bytes) -> Frame | None:
        """The header block that this frame completes, if it does. Raises ConnectionFault."""
        if kind == frames.HEADERS and not self._block:
            first_flags, block = flags, frames.header_block(payload, flags)
        else:
            if not self._block or kind != frames.CONTINUATION or self._block[0] != stream_id:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted, or never began")
            first_flags, block = self._block[1], self._block[2] + payload
            if len(block) > _HEADER_BLOCK_BYTES_MAX:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            self._block = None
            return frames.HEADERS, first_flags, stream_id, block
        self._block = (stream_id, first_flags, block)
        return None
