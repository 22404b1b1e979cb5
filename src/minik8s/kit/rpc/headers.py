"""Header blocks: what a request says before its messages, and the few blocks that gRPC answers with.

The same client says the same from call to call, so that the block of every call after the first is a handful of
indices into a table that does not change: such blocks are remembered with what they mean (RFC 7541).
"""

from dataclasses import dataclass
from urllib.parse import quote

import hpack

from minik8s.kit.rpc.frames import ConnectionFault, ErrorCode
from minik8s.kit.rpc.status import Code

HEADER_LIST_BYTES_MAX = 16_384
_REMEMBERED_MAX = 64
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT_DIGITS_MAX = 8
_PRINTABLE = "".join(chr(number) for number in range(0x20, 0x7F) if chr(number) != "%")

_STATUS_200 = b"\x88"
_CONTENT_TYPE_INDEX = 31


@dataclass(frozen=True, slots=True)
class Head:
    """What a request's headers ask for. `http_status` is not 200 if they are no gRPC."""

    path: str
    metadata: tuple[tuple[str, str], ...]
    timeout_s: float | None
    encoding: str
    http_status: int = 200


class HeaderDecoder:
    """The compression state of one connection's requests."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=HEADER_LIST_BYTES_MAX)
        self._remembered: dict[bytes, Head] = {}

    def decode(self, block: bytes) -> Head:
        """Raises ConnectionFault: after a block that cannot be read no later one can."""
        if head := self._remembered.get(block):
            return head
        newest, size = self._table()
        head = _head(self._pairs(block))
        if (after := self._table())[0] is not newest or after[1] != size:
            self._remembered.clear()
        elif len(self._remembered) < _REMEMBERED_MAX:
            self._remembered[block] = head
        return head

    def skip(self, block: bytes) -> None:
        """A block that says nothing of interest, but may change the table. Raises ConnectionFault."""
        self._remembered.clear()
        self._pairs(block)

    def _pairs(self, block: bytes) -> list[tuple[bytes, bytes]]:
        try:
            return [(bytes(pair[0]), bytes(pair[1])) for pair in self._decoder.decode(block, raw=True)]
        except hpack.HPACKError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, str(error)) from error

    def _table(self) -> tuple[object, tuple[int, int]]:
        """The newest entry and the sizes: every change of the table shows in them."""
        table = self._decoder.header_table
        return (table.dynamic_entries[0] if table.dynamic_entries else None), (
            len(table.dynamic_entries),
            table.maxsize,
        )


def _head(pairs: list[tuple[bytes, bytes]]) -> Head:
    """Header names and values are ASCII; what is not, no method of ours looks at."""
    given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
    said = dict(given)
    if not said.get(":path", "").startswith("/"):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a request without a path")
    status = 200
    if said.get(":method") != "POST":
        status = 405
    elif not said.get("content-type", "").startswith("application/grpc"):
        status = 415
    return Head(
        path=said[":path"],
        metadata=tuple((name, value) for name, value in given if not name.startswith(":")),
        timeout_s=_timeout_s(said.get("grpc-timeout", "")),
        encoding=said.get("grpc-encoding", "identity"),
        http_status=status,
    )


def _timeout_s(text: str) -> float | None:
    """A number of at most eight digits and a unit (gRPC over HTTP/2); anything else is no deadline."""
    digits, unit = text[:-1], text[-1:]
    if not digits.isascii() or not digits.isdigit() or len(digits) > _TIMEOUT_DIGITS_MAX or unit not in _UNITS_S:
        return None
    return int(digits) * _UNITS_S[unit]


def _literal(name: bytes, value: bytes) -> bytes:
    """A field that goes into no table."""
    return b"\x00" + _string(name) + _string(value)


def _string(value: bytes) -> bytes:
    return _integer(len(value), 7) + value


def _integer(value: int, prefix_bits: int) -> bytes:
    """RFC 7541 §5.1, with the bits before the prefix zero."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((value,))
    encoded, value = bytearray((limit,)), value - limit
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


INITIAL = _STATUS_200 + _integer(_CONTENT_TYPE_INDEX, 4) + _string(b"application/grpc")
"""What precedes the first message of an answer."""
SUCCESS = _literal(b"grpc-status", b"0")
"""What follows the last one."""


def trailers(code: Code, text: str) -> bytes:
    """The end of a call that failed."""
    block = _literal(b"grpc-status", b"%d" % code)
    if code is Code.UNIMPLEMENTED:
        block += _literal(b"grpc-accept-encoding", b"identity")
    return block + _literal(b"grpc-message", quote(text, safe=_PRINTABLE).encode())


def http_error(status: int) -> bytes:
    """The answer to what is no gRPC request."""
    return _integer(8, 4) + _string(b"%d" % status)
