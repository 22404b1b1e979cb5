"""One replica in the test's own process, of parts that a test may replace by faulty ones. A harness sees a cluster."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from store.serving import free_port

from minik8s.kit.clock import SystemClock
from minik8s.store.machine import Machine
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.disk import FileDisk
from minik8s.store.raft.node import RaftNode
from minik8s.store.server import Server, ServerConfig
from minik8s.store.service import Service, ServiceConfig
from minik8s.wire.etcd import rpc_pb2


class OneReplica:
    """Use as an asynchronous context; `cut_power` in it."""

    def __init__(
        self,
        directory: Path,
        *,
        service: Callable[..., Service] = Service,
        disk: Callable[[RaftConfig], FileDisk] = FileDisk,
    ) -> None:
        self.names = ["s0"]
        self._address = ("127.0.0.1", free_port())
        self._raft_config = RaftConfig(
            name="s0", data_dir=directory, peers={"s0": self._address}, listen=("127.0.0.1", free_port())
        )
        self._service, self._disk = service, disk
        self._tasks: list[asyncio.Task[None]] = []
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> "OneReplica":
        await self._start()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._channel:
            await self._channel.close()
        await self._stop()

    async def cut_power(self) -> None:
        """What the disk does not hold is gone; start again from what it does."""
        await self._stop()
        await self._start()

    async def _start(self) -> None:
        machine, clock, rng = Machine(), SystemClock(), random.Random(1)
        raft = RaftNode(self._raft_config, machine, clock=clock, rng=rng, disk=self._disk(self._raft_config))
        members = {"s0": rpc_pb2.Member(ID=1, name="s0")}
        service = self._service(ServiceConfig(1, 1, members), machine, raft, clock=clock, rng=rng)
        server = Server(ServerConfig([self._address]), service)
        self._tasks = [asyncio.ensure_future(raft.run()), asyncio.ensure_future(server.run())]
        await server.started.wait()
        async with asyncio.timeout(20):
            while not raft.is_leader:
                await asyncio.sleep(0.01)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def channel(self, name: str) -> grpc.aio.Channel:
        self._channel = self._channel or self.new_channel(name)
        return self._channel

    def new_channel(self, name: str) -> grpc.aio.Channel:
        host, port = self._address
        return grpc.aio.insecure_channel(
            f"{host}:{port}", [("grpc.max_reconnect_backoff_ms", 100), ("grpc.use_local_subchannel_pool", 1)]
        )

    async def call(self, name: str, method: str, request: Any, kind: Any, timeout_s: float = 5) -> Any:
        call = self.channel(name).unary_unary(
            f"/etcdserverpb.{method}", lambda m: m.SerializeToString(), kind.FromString
        )
        return await call(request, timeout=timeout_s)

    async def settled(self, timeout_s: float = 10) -> None:
        """One replica agrees with itself."""
