"""One member with a real gRPC server over `Immediate` consensus, in the caller's event loop."""

import random
import socket
from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from minik8s.kit import tls
from minik8s.kit.clock import SystemClock
from minik8s.store.consensus import Immediate
from minik8s.store.machine import Machine
from minik8s.store.server import Server, ServerConfig
from minik8s.store.service import Service, ServiceConfig
from minik8s.store.upkeep import Upkeep, UpkeepConfig
from minik8s.wire.etcd import rpc_pb2


def free_port() -> int:
    """A port below the ephemeral range, so that no outgoing connection takes it before its server does."""
    rng = random.SystemRandom()
    while True:
        port = rng.randrange(20_000, 31_999)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@asynccontextmanager
async def serving(
    identity: tls.Identity | None = None, *, progress_interval_s: float = 600.0
) -> AsyncIterator[tuple[Service, str]]:
    """(the service, HOST:PORT) while the context lasts."""
    machine, clock = Machine(), SystemClock()
    consensus = Immediate(machine)
    port = free_port()
    members = {"local": rpc_pb2.Member(ID=0xA1, peerURLs=["http://127.0.0.1:2380"])}
    service = Service(ServiceConfig(0xA1, 0xC1, members), machine, consensus, clock=clock, rng=random.Random(1))
    published = rpc_pb2.Member(
        ID=0xA1, name="local", peerURLs=members["local"].peerURLs, clientURLs=[f"http://127.0.0.1:{port}"]
    )
    upkeep = Upkeep(
        UpkeepConfig(beat_s=0.1, progress_interval_s=progress_interval_s, published=published), service, clock=clock
    )
    server = Server(ServerConfig([("127.0.0.1", port)], identity), service)
    async with TaskGroup() as group:
        tasks = [group.create_task(server.run()), group.create_task(upkeep.run())]
        await server.started.wait()
        try:
            yield service, f"127.0.0.1:{port}"
        finally:
            for task in tasks:
                task.cancel()
