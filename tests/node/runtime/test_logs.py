"""CRI's log format."""

import pytest

from minik8s.node.runtime.logs import LINE_BYTES_MAX, LineSplitter

STAMP = b"1970-01-01T00:00:01.500000000Z"


@pytest.mark.parametrize(
    ("pieces", "entries"),
    [
        pytest.param([b"a\n"], [b"F a"], id="a line"),
        pytest.param([b"a", b"b\nc\n"], [b"F ab", b"F c"], id="a line in two pieces"),
        pytest.param([b"\n\n"], [b"F ", b"F "], id="empty lines"),
        pytest.param([b"a\nb"], [b"F a", b"P b"], id="no newline at the end"),
        pytest.param([b"\xff\x00\n"], [b"F \xff\x00"], id="bytes that are no text"),
        pytest.param(
            [b"x" * (LINE_BYTES_MAX + 2) + b"\n"], [b"P " + b"x" * LINE_BYTES_MAX, b"F xx"], id="a line too long"
        ),
        pytest.param([b"x" * LINE_BYTES_MAX, b"y\n"], [b"P " + b"x" * LINE_BYTES_MAX, b"F y"], id="in pieces"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_output_becomes_entries(pieces, entries):
    splitter = LineSplitter("stdout")
    written = b"".join(splitter.feed(piece, 1.5) for piece in pieces) + splitter.flush(1.5)
    assert written == b"".join(STAMP + b" stdout " + entry + b"\n" for entry in entries)
