"""Proxies between replicas, which the harness can cut in one direction or both.

Each replica is advertised at a proxy's address. Who connects is told by the socket's owner: the proxies look it up in
/proc. A cut link carries nothing and says nothing, as a network that swallows packets; when it is mended, what was
held back goes on, as TCP would send it again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from store.serving import free_port

from chaos.cluster import Cluster

_CHUNK_BYTES = 64 << 10


class Links:
    """All links of a cluster; to be entered before the cluster is started."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._open: dict[tuple[str, str], asyncio.Event] = {}
        self._servers: list[asyncio.Server] = []
        self._relays: set[asyncio.Task[None]] = set()
        for source in cluster.names:
            for target in cluster.names:
                self._open[source, target] = asyncio.Event()
        self.mend()

    async def __aenter__(self) -> "Links":
        for name in self._cluster.names:
            port = free_port()
            self._cluster.advertised_peer_address[name] = f"127.0.0.1:{port}"
            self._servers.append(await asyncio.start_server(self._accept(name, port), "127.0.0.1", port))
        return self

    async def __aexit__(self, *error: object) -> None:
        for server in self._servers:
            server.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def cut(self, sources: Iterable[str], targets: Iterable[str]) -> None:
        """Nothing more comes from any of `sources` to any of `targets`."""
        targets = list(targets)
        for source in sources:
            for target in targets:
                if source != target:
                    self._open[source, target].clear()

    def mend(self) -> None:
        """Everything flows."""
        for event in self._open.values():
            event.set()

    def _accept(self, target: str, port: int) -> Callable[..., Awaitable[None]]:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            self._relays.add(task)
            try:
                await self._relay(target, port, reader, writer)
            finally:
                self._relays.discard(task)
                writer.close()

        return accepted

    async def _relay(self, target: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = self._owner(writer.get_extra_info("peername")[1], port)
        if source is None:
            return  # the replica was killed meanwhile
        host, _, number = self._cluster.peer_address[target].partition(":")
        await self._open[source, target].wait()
        try:
            onward, back = await asyncio.open_connection(host, int(number))
        except OSError:
            return
        try:
            done, pending = await asyncio.wait(
                [
                    asyncio.ensure_future(self._pump(source, target, reader, back)),
                    asyncio.ensure_future(self._pump(target, source, onward, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in pending:
                task.cancel()
            await asyncio.gather(*done, *pending, return_exceptions=True)
        finally:
            back.close()

    async def _pump(self, source: str, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._open[source, target].wait()
                writer.write(data)
                await writer.drain()

    def _owner(self, port: int, proxy_port: int) -> str | None:
        """The replica whose process holds the socket from `port` to `proxy_port`."""
        wanted = (f":{port:04X}", f":{proxy_port:04X}")
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted[0]) and fields[2].endswith(wanted[1]):
                return self._holder(f"socket:[{fields[9]}]")
        return None

    def _holder(self, socket: str) -> str | None:
        for name, process in self._cluster.processes.items():
            with contextlib.suppress(OSError):
                for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        if str(descriptor.readlink()) == socket:
                            return name
        return None
