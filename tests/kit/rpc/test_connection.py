"""HTTP/2 by hand: what a peer may do, what it is told when it may not, and what a hostile one gains."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.rpc.peer import DEFAULT_SETTINGS, Peer, serving
from minik8s.kit.rpc import frames
from minik8s.kit.rpc.limits import Limits

PING = frames.frame(frames.PING, 0, 0, b"12345678")
SMALL = Limits(
    message_bytes_max=1000, calls_max=3, held_bytes_max=1500, window_bytes=4000, preface_timeout_s=0.2,
)  # fmt: skip


def run(scenario, limits: Limits | None = None) -> None:
    """Run `scenario(peer, methods)` on a fresh connection."""

    async def main() -> None:
        async with serving(limits) as (methods, _, port):
            await scenario(await Peer.connect(port), methods)

    asyncio.run(main())


def test_a_call_is_answered():
    async def scenario(peer, methods):
        peer.send(peer.headers(1), peer.message(1))
        assert (await peer.fields(1))[":status"] == "200"
        assert (await peer.read(frames.DATA)).payload == b"\x00\x00\x00\x00\x05hello"
        assert (await peer.fields(1))["grpc-status"] == "0"

    run(scenario)


def test_a_request_in_single_bytes_is_understood():
    async def scenario(peer, methods):
        for byte in peer.headers(1) + peer.message(1):
            peer.send(bytes((byte,)))
            await peer.writer.drain()
        assert (await peer.read(frames.DATA)).payload[5:] == b"hello"

    run(scenario)


def test_padding_and_priority_are_passed_over():
    async def scenario(peer, methods):
        block = peer.headers(1)[frames.HEADER_BYTES :]
        flags = frames.END_HEADERS | frames.PADDED | frames.PRIORITY_FLAG
        padded = b"\x03" + b"\x00" * 5 + block + b"\x00" * 3
        data = b"\x02" + b"\x00\x00\x00\x00\x02hi" + b"\x00" * 2
        peer.send(
            frames.frame(frames.HEADERS, flags, 1, padded),
            frames.frame(frames.PRIORITY, 0, 1, b"\x00" * 5),
            frames.frame(frames.DATA, frames.PADDED | frames.END_STREAM, 1, data),
        )
        assert (await peer.read(frames.DATA)).payload[5:] == b"hi"

    run(scenario)


def test_a_header_block_may_come_in_pieces():
    async def scenario(peer, methods):
        block = peer.headers(1)[frames.HEADER_BYTES :]
        peer.send(
            frames.frame(frames.HEADERS, 0, 1, block[:5]),
            frames.frame(frames.CONTINUATION, 0, 1, block[5:9]),
            frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[9:]),
            peer.message(1),
        )
        assert (await peer.read(frames.DATA)).payload[5:] == b"hello"

    run(scenario)


def test_headers_are_understood_whatever_the_table_holds():
    """The same block means something else once the table has changed."""

    async def scenario(peer, methods):
        for number in range(40):
            stream_id = 2 * number + 1
            # Every third call brings a header of its own, which moves all others in the table.
            more = {"x_request": str(number)} if number % 3 == 0 else {}
            peer.send(peer.headers(stream_id, "Fail" if number % 2 else "Echo", **more), peer.message(stream_id))
            first = await peer.fields(stream_id)
            last = first if "grpc-status" in first else await peer.fields(stream_id)
            assert last["grpc-status"] == ("11" if number % 2 else "0")

    run(scenario)


@pytest.mark.parametrize(
    ("method", "data", "expected"),
    [
        ("Fail", "50 % größer".encode(), ("11", "50 %25 gr%C3%B6%C3%9Fer")),
        ("Break", b"x", ("13", "an error within /test.Service/Break")),
        ("Nothing", b"x", ("12", "unknown method /test.Service/Nothing")),
    ],
)
def test_a_failure_is_one_header_block(method, data, expected):
    async def scenario(peer, methods):
        peer.send(peer.headers(1, method), peer.message(1, data))
        fields = await peer.fields(1)
        assert (fields["grpc-status"], fields["grpc-message"]) == expected
        peer.send(peer.headers(3), peer.message(3))  # and the connection goes on
        assert (await peer.read(frames.DATA)).payload[5:] == b"hello"

    run(scenario)


@pytest.mark.parametrize(
    ("more", "status"), [({"verb": "GET"}, "405"), ({"content_type": "text/plain"}, "415")], ids=["GET", "text"]
)
def test_what_is_no_grpc_gets_an_http_status(more, status):
    async def scenario(peer, methods):
        peer.send(peer.headers(1, flags=frames.END_STREAM, **more))
        assert (await peer.fields(1))[":status"] == status

    run(scenario)


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (b"\x01\x00\x00\x00\x00", "12", 'grpc: Decompressor is not installed for grpc-encoding "gzip"'),
        (b"\x00\x7f\xff\xff\xff", "8", "grpc: received message larger than max (2147483647 vs. 1000)"),
        (b"\x00\x00\x00", "13", "grpc: a unary call has one request message"),
        (b"", "13", "grpc: a unary call has one request message"),
        (b"\x00\x00\x00\x00\x01a\x00\x00\x00\x00\x01b", "13", "grpc: a unary call has one request message"),
    ],
    ids=["compressed", "too large", "cut short", "nothing", "two"],
)
def test_a_bad_message_fails_its_call_alone(data, status, text):
    async def scenario(peer, methods):
        peer.send(peer.headers(1, grpc_encoding="gzip"), frames.frame(frames.DATA, frames.END_STREAM, 1, data))
        fields = await peer.fields(1)
        assert (fields["grpc-status"], fields["grpc-message"]) == (status, text)
        peer.send(peer.headers(3), peer.message(3))
        assert (await peer.read(frames.DATA)).payload[5:] == b"hello"

    run(scenario, SMALL)


def test_a_deadline_ends_the_call_and_its_work():
    async def scenario(peer, methods):
        peer.send(peer.headers(1, "Wait", grpc_timeout="20m"), peer.message(1))
        fields = await peer.fields(1)
        assert (fields["grpc-status"], fields["grpc-message"]) == ("4", "context deadline exceeded")
        assert methods.cancelled == 1

    run(scenario)


def test_a_reset_cancels_the_work():
    async def scenario(peer, methods):
        peer.send(peer.headers(1, "Wait"), peer.message(1))
        peer.send(frames.rst_stream(1, frames.ErrorCode.CANCEL), peer.headers(3), peer.message(3))
        assert (await peer.read(frames.DATA)).stream_id == 3
        assert methods.cancelled <= 1  # it may not have begun

    run(scenario)


def test_a_client_that_leaves_cancels_all_its_calls():
    async def main() -> None:
        async with serving() as (methods, _, port):
            peer = await Peer.connect(port)
            peer.send(*(peer.headers(stream_id, "Idle") for stream_id in (1, 3, 5)), peer.headers(7), peer.message(7))
            await peer.read(frames.DATA)
            peer.writer.transport.abort()
            async with asyncio.timeout(5):
                while methods.cancelled < 3:
                    await asyncio.sleep(0)

    asyncio.run(main())


def test_large_answers_wait_for_the_windows():
    """64 KiB at first, on the call and on the connection; every byte that comes is given back late."""

    async def scenario(peer, methods):
        peer.send(peer.headers(1, "Flood"), peer.message(1, b"3 100000"))
        got = 0
        while got < frames.WINDOW_DEFAULT:
            got += len((await peer.read(frames.DATA)).payload)
        assert got == frames.WINDOW_DEFAULT
        peer.send(PING)
        assert (await peer.read(frames.PING, frames.DATA)).kind == frames.PING, "data beyond the window"
        peer.send(frames.window_update(1, 1 << 20))
        peer.send(PING)
        assert (await peer.read(frames.PING, frames.DATA)).kind == frames.PING, "data beyond the connection's window"
        peer.send(frames.window_update(0, 1 << 20))
        while got < 3 * 100_005:
            got += len((await peer.read(frames.DATA)).payload)
        assert got == 3 * 100_005
        assert (await peer.fields(1))["grpc-status"] == "0"

    run(scenario)


def test_a_changed_initial_window_counts_for_open_calls():
    async def scenario(peer, methods):
        peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 10}))
        peer.send(peer.headers(1, "Flood"), peer.message(1, b"1 100"))
        assert len((await peer.read(frames.DATA)).payload) == 10
        peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 1000}))
        # The peer counts by the new window from the acknowledgement on.
        assert (await peer.read(frames.SETTINGS, frames.DATA)).kind == frames.SETTINGS
        assert len((await peer.read(frames.DATA)).payload) == 95

    run(scenario)


def test_a_streaming_method_that_does_not_read_stops_its_client():
    async def scenario(peer, methods):
        peer.send(peer.headers(1, "Idle"))
        chunk = peer.message(1, b"x" * 995, flags=0)
        peer.send(*[chunk] * 4)  # the whole window: given back while there is room for what is unread
        peer.send(PING)
        assert (await peer.read(frames.PING, frames.WINDOW_UPDATE)).kind

    run(scenario, SMALL)


def test_too_many_calls_are_refused_and_may_be_tried_again():
    async def scenario(peer, methods):
        for stream_id in (1, 3, 5, 7):
            peer.send(peer.headers(stream_id, "Wait"), peer.message(stream_id))
        frame = await peer.read(frames.RST_STREAM)
        assert (frame.stream_id, frame.payload[3]) == (7, frames.ErrorCode.REFUSED_STREAM)
        methods.release.set()
        assert (await peer.fields(1))[":status"] == "200"

    run(scenario, SMALL)


def test_resetting_what_one_opens_gains_nothing():
    """Rapid reset (CVE-2023-44487): cancelled work counts until it has ended."""

    async def scenario(peer, methods):
        parts = []
        for stream_id in range(1, 2001, 2):
            parts += [
                peer.headers(stream_id, "Wait"), peer.message(stream_id),
                frames.rst_stream(stream_id, frames.ErrorCode.CANCEL),
            ]  # fmt: skip
        peer.send(*parts)
        assert (await peer.read(frames.RST_STREAM)).payload[3] == frames.ErrorCode.REFUSED_STREAM

    run(scenario, SMALL)


def test_calls_that_run_end_before_a_server_that_stops():
    async def main() -> None:
        async with serving() as (methods, server, port):
            peer, idle = await Peer.connect(port), await Peer.connect(port)
            idle.send(PING)
            peer.send(peer.headers(1, "Wait"), peer.message(1), peer.headers(3), peer.message(3))
            await peer.read(frames.DATA)
            await idle.read(frames.PING)
            stopping = asyncio.create_task(server.stop(5))
            assert (await idle.farewell())[0] == "NO_ERROR"
            last = await peer.read(frames.GOAWAY)
            assert int.from_bytes(last.payload[:4], "big") == 3
            peer.send(peer.headers(5), peer.message(5))
            assert (await peer.read(frames.RST_STREAM)).payload[3] == frames.ErrorCode.REFUSED_STREAM
            methods.release.set()
            assert (await peer.fields(1))[":status"] == "200"
            async with asyncio.timeout(5):
                await stopping

    asyncio.run(main())


def test_pings_are_answered_but_not_a_flood_of_them():
    async def scenario(peer, methods):
        peer.send(PING)
        assert (await peer.read(frames.PING)).payload == b"12345678"
        peer.send(PING * 5)
        assert await peer.farewell() == ("ENHANCE_YOUR_CALM", "too_many_pings")

    run(scenario)


def test_pings_between_answers_are_no_flood():
    async def scenario(peer, methods):
        for number in range(10):
            stream_id = 2 * number + 1
            peer.send(PING, peer.headers(stream_id), peer.message(stream_id))
            await peer.read(frames.PING)
            await peer.read(frames.DATA)

    run(scenario)


def test_a_silent_client_is_asked_and_then_left():
    async def scenario(peer, methods):
        assert (await peer.read(frames.PING)).flags == 0
        async with asyncio.timeout(5):
            await peer.reader.read()

    run(scenario, Limits(keepalive_s=0.05, keepalive_timeout_s=0.05))


def test_a_client_that_says_nothing_at_all_is_left():
    async def main() -> None:
        async with serving(SMALL) as (_, _, port):
            peer = await Peer.connect(port, first=b"PRI")
            async with asyncio.timeout(5):
                assert await peer.reader.read() == b""

    asyncio.run(main())


def test_what_speaks_no_http2_is_handed_on():
    class Other(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(b"got " + data)

    async def main() -> None:
        async with serving(other=Other) as (_, _, port):
            peer = await Peer.connect(port, first=b"GET / HTTP/1.1\r\n\r\n")
            assert await peer.reader.readexactly(22) == b"got GET / HTTP/1.1\r\n\r\n"

    asyncio.run(main())


BLOCK_WITHOUT_PATH = b"\x83\x86"
FAULTS = {
    "no preface": (b"GET / HTTP/1.1\r\n\r\n", "PROTOCOL_ERROR"),
    "a huge frame": ((1 << 20).to_bytes(3, "big") + b"\x00\x00\x00\x00\x00\x01", "FRAME_SIZE_ERROR"),
    "data of no stream": (frames.frame(frames.DATA, 0, 1, b"x"), "PROTOCOL_ERROR"),
    "data of stream 0": (frames.frame(frames.DATA, 0, 0, b"x"), "PROTOCOL_ERROR"),
    "an even stream": (frames.frame(frames.HEADERS, frames.END_HEADERS, 2, b"\x83"), "PROTOCOL_ERROR"),
    "no path": (frames.frame(frames.HEADERS, frames.END_HEADERS, 1, BLOCK_WITHOUT_PATH), "PROTOCOL_ERROR"),
    "a bad block": (frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff\xff\x7f"), "COMPRESSION_ERROR"),
    "all padding": (frames.frame(frames.HEADERS, frames.END_HEADERS | frames.PADDED, 1, b"\x09"), "PROTOCOL_ERROR"),
    "short priority": (
        frames.frame(frames.HEADERS, frames.END_HEADERS | frames.PRIORITY_FLAG, 1, b"\x00"), "FRAME_SIZE_ERROR",
    ),
    "a block interrupted": (frames.frame(frames.HEADERS, 0, 1, b"\x83") + PING, "PROTOCOL_ERROR"),
    "a block without beginning": (frames.frame(frames.CONTINUATION, 0, 1, b"\x83"), "PROTOCOL_ERROR"),
    "a block without end": (
        frames.frame(frames.HEADERS, 0, 1, b"\x83") + frames.frame(frames.CONTINUATION, 0, 1, b"\x00" * 9000) * 9,
        "ENHANCE_YOUR_CALM",
    ),
    "a push": (frames.frame(frames.PUSH_PROMISE, 0, 1, b"\x00" * 4), "PROTOCOL_ERROR"),
    "a reset of nothing": (frames.rst_stream(1, frames.ErrorCode.CANCEL), "PROTOCOL_ERROR"),
    "a short ping": (frames.frame(frames.PING, 0, 0, b"x"), "FRAME_SIZE_ERROR"),
    "odd settings": (frames.frame(frames.SETTINGS, 0, 0, b"x"), "FRAME_SIZE_ERROR"),
    "a huge window": (frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 31}), "FLOW_CONTROL_ERROR"),
    "a tiny frame size": (frames.settings({frames.MAX_FRAME_SIZE: 10}), "PROTOCOL_ERROR"),
    "an empty update": (frames.window_update(0, 0), "PROTOCOL_ERROR"),
    "too large an update": (frames.window_update(0, frames.WINDOW_MAX) * 2, "FLOW_CONTROL_ERROR"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_connection_with_its_code(fault):
    data, code = FAULTS[fault]

    async def main() -> None:
        async with serving() as (_, _, port):
            first = b"" if fault == "no preface" else frames.PREFACE + DEFAULT_SETTINGS
            peer = await Peer.connect(port, first=first + data)
            assert (await peer.farewell())[0] == code

    asyncio.run(main())


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (lambda peer: [peer.message(1, b"x" * 900, flags=0)] * 9, "FLOW_CONTROL_ERROR"),
        (lambda peer: [peer.message(1), peer.message(1)], "STREAM_CLOSED"),
        (lambda peer: [peer.headers(1)], "PROTOCOL_ERROR"),
    ],
    ids=["beyond the window", "after the end", "a second beginning"],
)
def test_a_fault_within_a_call_ends_the_connection(sent, code):
    async def scenario(peer, methods):
        peer.send(peer.headers(1, "Idle"), *sent(peer))
        assert (await peer.farewell())[0] == code

    run(scenario, Limits(message_bytes_max=1000, window_bytes=4000))


def test_requests_that_never_become_whole_are_bounded():
    async def scenario(peer, methods):
        for stream_id in (1, 3, 5):
            begun = b"\x00\x00\x00\x03\x00" + b"x" * 700
            peer.send(peer.headers(stream_id), frames.frame(frames.DATA, 0, stream_id, begun))
        assert await peer.farewell() == ("ENHANCE_YOUR_CALM", "too much of unfinished requests")

    run(scenario, SMALL)


frame_like = st.builds(
    frames.frame,
    st.integers(0, 11),
    st.integers(0, 255),
    st.sampled_from([0, 1, 1, 3, 5, 2, 7, frames.WINDOW_MAX]),
    st.binary(max_size=40) | st.sampled_from([b"\x83\x86\x44\x02/x", b"\x00\x00\x00\x00\x01a", b"\x00" * 8]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(frame_like | st.binary(max_size=60), max_size=12))
def test_any_bytes_leave_the_server_alive(parts):
    async def main() -> None:
        failures = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        async with serving(SMALL) as (methods, _, port):
            methods.release.set()
            hostile = await Peer.connect(port)
            hostile.send(*parts)
            hostile.writer.write_eof()
            async with asyncio.timeout(5):
                await hostile.reader.read()
            hostile.writer.close()
            peer = await Peer.connect(port)
            peer.send(peer.headers(1), peer.message(1))
            assert (await peer.read(frames.DATA)).payload[5:] == b"hello"
            peer.writer.close()
        assert failures == []

    asyncio.run(main())
