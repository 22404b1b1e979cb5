"""The balancer over real sockets: spread, failover, half-closed connections, clear refusals."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from minik8s.cli.balancer import Backends, Balancer, Config
from minik8s.kit.run import StartError
from minik8s.kit.tls import Authority, Identity, server_context


def free_address() -> tuple[str, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()


@contextlib.asynccontextmanager
async def echo(address: tuple[str, int]) -> AsyncIterator[None]:
    """Answers, once the client has said its last, with the port it was reached at and what was said."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.read()
        writer.write(f"{address[1]} ".encode() + said)
        writer.close()

    server = await asyncio.start_server(serve, *address)
    try:
        yield
    finally:
        server.close()


@contextlib.asynccontextmanager
async def running(balancer: Balancer) -> AsyncIterator[None]:
    task = asyncio.ensure_future(balancer.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def ask(address: tuple[str, int], text: bytes = b"hello") -> bytes:
    async with asyncio.timeout(5):
        while True:
            try:
                reader, writer = await asyncio.open_connection(*address)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
        writer.write(text)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer


def test_well_backends_take_turns_and_others_come_last() -> None:
    a, b, c = ("h", 1), ("h", 2), ("h", 3)
    backends = Backends((a, b, c))
    assert [backends.order()[0] for _ in range(4)] == [a, b, c, a]
    backends.out.add(b)
    assert [backends.order() for _ in range(3)] == [[a, c, b], [c, a, b], [a, c, b]]


def test_connections_are_spread_and_half_closing_works() -> None:
    async def main() -> None:
        address, a, b = free_address(), free_address(), free_address()
        async with echo(a), echo(b), running(Balancer(Config(listen=address, backends=(a, b)))):
            answers = [await ask(address) for _ in range(4)]
        assert sorted(answers) == sorted([f"{a[1]} hello".encode(), f"{b[1]} hello".encode()] * 2)

    asyncio.run(main())


def test_a_dead_backend_costs_no_connection_and_comes_back() -> None:
    async def main() -> None:
        address, a, b = free_address(), free_address(), free_address()
        balancer = Balancer(Config(listen=address, backends=(a, b), probe_interval_s=0.02))
        async with echo(a), running(balancer):
            assert {await ask(address) for _ in range(6)} == {f"{a[1]} hello".encode()}
            async with echo(b), asyncio.timeout(5):
                while await ask(address) != f"{b[1]} hello".encode():
                    pass

    asyncio.run(main())


def test_it_is_unwell_when_every_backend_is() -> None:
    async def main() -> None:
        address = free_address()
        balancer = Balancer(Config(listen=address, backends=(free_address(),)))
        async with running(balancer):
            assert balancer.checks()["backends"]() is None
            assert await ask(address) == b""
            assert "no backend" in balancer.checks()["backends"]()

    asyncio.run(main())


def test_a_megabyte_goes_through_unchanged() -> None:
    async def main() -> None:
        address, a = free_address(), free_address()
        text = bytes(range(256)) * 4096
        async with echo(a), running(Balancer(Config(listen=address, backends=(a,)))):
            assert await ask(address, text) == f"{a[1]} ".encode() + text

    asyncio.run(main())


def test_a_port_in_use_is_said() -> None:
    async def main() -> None:
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            with pytest.raises(StartError, match="another program listens there"):
                await Balancer(Config(listen=busy.getsockname(), backends=(free_address(),))).run()

    asyncio.run(main())


@contextlib.asynccontextmanager
async def api_server(address: tuple[str, int], identity: Identity, state: dict[str, int]) -> AsyncIterator[None]:
    """Answers /readyz with `state["code"]`; with 0, never."""

    async def readyz(request: web.Request) -> web.Response:
        if not state["code"]:
            await asyncio.Event().wait()
        return web.Response(status=state["code"])

    app = web.Application()
    app.add_routes([web.get("/readyz", readyz)])
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, *address, ssl_context=server_context(identity)).start()
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("code", [pytest.param(500, id="unwell"), pytest.param(0, id="frozen")])
def test_a_backend_that_does_not_say_it_is_ready_is_left_out_until_it_does(tmp_path: Path, code: int) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("server", user="kube-apiserver", hosts=["127.0.0.1"])

    async def main() -> None:
        a, b = free_address(), free_address()
        config = Config(
            listen=free_address(),
            backends=(a, b),
            ca_file=authority.cert_file,
            probe_interval_s=0.02,
            probe_timeout_s=0.3,
        )
        balancer = Balancer(config)
        state = {"code": 200}
        async with api_server(a, identity, state), api_server(b, identity, {"code": 200}), running(balancer):
            async with asyncio.timeout(20):
                state["code"] = code
                while balancer.backends.out != {a}:
                    await asyncio.sleep(0.01)
                assert balancer.backends.order() == [b, a]
                state["code"] = 200
                while balancer.backends.out:
                    await asyncio.sleep(0.01)

    asyncio.run(main())
