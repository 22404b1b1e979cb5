"""The user-space proxy with real sockets on 127/8."""

import asyncio
import contextlib
import random
import socket

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from minik8s.kit.clock import SystemClock
from minik8s.node.proxy.rules import Endpoint, Frontend, Rule
from minik8s.node.proxy.userspace import UserspaceProxy

SERVICE_IP = "127.78.0.1"


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request):
    def runner(scenario):
        async def main():
            async with asyncio.timeout(20):
                await scenario()

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(main())

    return runner


class Proxied:
    """A proxy for one service, and what went wrong with it."""

    def __init__(self, port: int) -> None:
        self.frontend = Frontend(SERVICE_IP, port)
        self.troubles: list[str] = []
        self.proxy = UserspaceProxy(
            clock=SystemClock(),
            rng=random.Random(1),
            registry=CollectorRegistry(),
            on_trouble=lambda frontend, rule, why: self.troubles.append(f"{frontend} {why}"),
        )

    def lead_to(self, *endpoints: Endpoint) -> None:
        self.proxy.apply({self.frontend: Rule("default/web", endpoints)})

    async def listening(self) -> None:
        async with asyncio.timeout(5):
            while self.frontend not in self.proxy._servers:
                await asyncio.sleep(0.005)

    async def ask(self, text: bytes = b"hello") -> bytes:
        reader, writer = await asyncio.open_connection(self.frontend.ip, self.frontend.port)
        writer.write(text)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer


@contextlib.asynccontextmanager
async def proxied(*endpoints: Endpoint):
    found = Proxied(free_port(SERVICE_IP))
    found.lead_to(*endpoints)
    task = asyncio.ensure_future(found.proxy.run())
    try:
        if endpoints:
            await found.listening()
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def backend(name: bytes, ip: str = "127.78.1.1"):
    """A server that reads all it is sent, then answers with its name and that: half-close both ways."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(name + b" " + await reader.read())
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, ip, 0)
    try:
        yield Endpoint(ip, server.sockets[0].getsockname()[1])
    finally:
        server.close()


def free_port(ip: str) -> int:
    with socket.socket() as probe:
        probe.bind((ip, 0))
        return probe.getsockname()[1]


def test_connections_are_spread_and_halves_close_on_their_own(run):
    async def scenario():
        async with backend(b"a") as a, backend(b"b", "127.78.1.2") as b, proxied(a, b) as service:
            assert sorted([await service.ask() for _ in range(4)]) == [b"a hello"] * 2 + [b"b hello"] * 2

    run(scenario)


def test_a_large_answer_arrives_whole(run):
    async def scenario():
        async with backend(b"a") as a, proxied(a) as service:
            text = random.Random(2).randbytes(20_000_000)
            assert await service.ask(text) == b"a " + text

    run(scenario)


def test_an_endpoint_that_is_gone_costs_no_request(run):
    async def scenario():
        async with backend(b"a") as a:
            dead = Endpoint("127.78.1.3", free_port("127.78.1.3"))
            async with proxied(a, dead) as service:
                assert {await service.ask() for _ in range(10)} == {b"a hello"}

    run(scenario)


def test_without_endpoints_connections_are_refused_and_later_served(run):
    async def scenario():
        async with backend(b"a") as a, proxied() as service:
            with pytest.raises(ConnectionRefusedError):
                await service.ask()
            service.lead_to(a)
            await service.listening()
            assert await service.ask() == b"a hello"
            service.lead_to()
            async with asyncio.timeout(5):
                with pytest.raises(ConnectionError):
                    while True:
                        await service.ask()

    run(scenario)


def test_when_every_endpoint_refuses_the_connection_is_reset(run):
    async def scenario():
        dead = Endpoint("127.78.1.3", free_port("127.78.1.3"))
        async with proxied(dead) as service:
            with pytest.raises(ConnectionError):
                await service.ask()

    run(scenario)


def test_an_established_connection_outlives_its_endpoint_and_its_service(run):
    async def scenario():
        async with backend(b"a") as a, backend(b"b", "127.78.1.2") as b, proxied(a) as service:
            reader, writer = await asyncio.open_connection(service.frontend.ip, service.frontend.port)
            writer.write(b"first ")
            await writer.drain()
            service.lead_to(b)
            assert await service.ask() == b"b hello"
            service.proxy.apply({})
            while service.frontend in service.proxy._servers:
                await asyncio.sleep(0.005)
            writer.write(b"second")
            writer.write_eof()
            assert await reader.read() == b"a first second"
            writer.close()

    run(scenario)


def test_a_reset_is_passed_on(run):
    async def scenario():
        async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            linger = b"\x01\0\0\0\0\0\0\0"
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

        server = await asyncio.start_server(slam, "127.78.1.4", 0)
        async with proxied(Endpoint(*server.sockets[0].getsockname())) as service:
            with pytest.raises(ConnectionError):
                await service.ask()
        server.close()

    run(scenario)


def test_an_address_that_is_taken_is_reported_once_and_served_when_it_is_free(run):
    async def scenario():
        async with backend(b"a") as a:
            service = Proxied(free_port(SERVICE_IP))
            blocker = socket.create_server((service.frontend.ip, service.frontend.port))
            service.lead_to(a)
            task = asyncio.ensure_future(service.proxy.run())
            while not service.troubles:
                await asyncio.sleep(0.005)
            assert service.troubles == [f"{service.frontend} cannot listen: Address already in use"]
            blocker.close()
            service.lead_to(a)
            await service.listening()
            assert await service.ask() == b"a hello"
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    run(scenario)
