"""gRPC's own client: grpcio talks to the server, plain and over TLS. Go's does in tests/conformance/etcd."""

import asyncio
import threading

import grpc
import pytest

from kit.rpc.peer import serving
from minik8s.kit import tls
from minik8s.kit.run import StartError


def run(scenario, **options):
    """Run `scenario(channel)` of grpcio's synchronous client beside the server's loop."""

    async def main() -> None:
        async with serving(**options) as (_, _, port):
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                await asyncio.to_thread(scenario, channel)

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, 65_535, 1_000_000, 3_000_000])
def test_messages_of_every_size_come_back(size):
    def scenario(channel):
        message = bytes(index % 251 for index in range(1000)) * (size // 1000) + b"z" * (size % 1000)
        assert channel.unary_unary("/test.Service/Echo")(message, timeout=10) == message

    run(scenario)


def test_a_hundred_threads_share_a_connection():
    def scenario(channel):
        echo, failures = channel.unary_unary("/test.Service/Echo"), []

        def work(number: int) -> None:
            for round_ in range(20):
                message = f"{number}/{round_}".encode() * 500
                if echo(message, timeout=10, metadata=[("x-number", str(number))]) != message:
                    failures.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    run(scenario)


def test_a_stream_goes_both_ways():
    def scenario(channel):
        sent = [b"%d" % number * 1000 for number in range(500)]
        assert list(channel.stream_stream("/test.Service/Stream")(iter(sent), timeout=10)) == sent

    run(scenario)


def test_a_flood_waits_for_a_slow_reader():
    def scenario(channel):
        answers = channel.stream_stream("/test.Service/Flood")(iter([b"200 100000"]), timeout=20)
        assert sum(len(answer) for answer in answers) == 200 * 100_000

    run(scenario)


def test_statuses_arrive():
    def scenario(channel):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/test.Service/Fail")("50 % größer".encode(), timeout=5)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.OUT_OF_RANGE, "50 % größer")
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/test.Service/Wait")(b"", timeout=0.05)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    run(scenario)


def test_a_compressed_request_is_refused():
    def scenario(channel):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/test.Service/Echo")(b"a" * 1000, compression=grpc.Compression.Gzip, timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED

    run(scenario)


def test_a_client_is_known_by_its_certificate(tmp_path):
    authority, stranger = tls.Authority(tmp_path / "a"), tls.Authority(tmp_path / "b")
    server = authority.issue("server", user="server", hosts=["127.0.0.1"])
    alice = authority.issue("alice", user="alice", groups=["people"])
    mallory = stranger.issue("mallory", user="alice")

    def say(identity: tls.Identity, port: int) -> bytes:
        certificate, key, _ = identity.read()
        credentials = grpc.ssl_channel_credentials(server.ca_file.read_bytes(), key, certificate)
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            return channel.unary_unary("/test.Service/Echo")(b"hello", timeout=2)

    async def main() -> None:
        async with serving(context=tls.server_context(server, require_client=True)) as (methods, _, port):
            assert await asyncio.to_thread(say, alice, port) == b"hello"
            subject = methods.certificates[0]["subject"]
            assert (("commonName", "alice"),) in subject and (("organizationName", "people"),) in subject
            with pytest.raises(grpc.RpcError):
                await asyncio.to_thread(say, mallory, port)
            assert len(methods.certificates) == 1

    asyncio.run(main())


def test_a_port_that_is_taken_is_said():
    async def main() -> None:
        async with serving() as (_, server, port):
            with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
                await server.listen("127.0.0.1", port)

    asyncio.run(main())
