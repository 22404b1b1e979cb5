"""The address in front of several API servers: a TCP balancer that asks them how they are.

TLS passes through, so client certificates reach the API server and no key is needed here. Connections go round robin
to backends believed well; one that refuses is left out at once and the next is tried, so a killed API server costs its
clients a reconnect and no error. Every `probe_interval_s` each backend's /readyz is asked, so one that is frozen or has
lost its store gets no new connections; without an authority to know it by, those left out are merely connected to.
"""

import asyncio
import errno
import socket
import ssl
from asyncio import StreamReader, StreamWriter, sleep
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge

from minik8s.kit import health
from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError

log = get_logger(__name__)

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the balancer is told."""

    listen: Address
    backends: tuple[Address, ...]
    ca_file: Path | None = None  # whom the backends' certificates are signed by; None: /readyz is not asked
    connect_timeout_s: float = 2.0
    probe_interval_s: float = 0.5
    probe_timeout_s: float = 1.5  # a backend that takes longer to say that it is ready is left out
    connections_max: int = 4096  # beyond them new ones are refused at once: better than slow for all
    buffer_bytes: int = 64 * 1024


class Backends:
    """Pure: which backend is next, which are left out."""

    def __init__(self, addresses: tuple[Address, ...]) -> None:
        self._addresses = addresses
        self._next = 0
        self.out: set[Address] = set()

    def order(self) -> list[Address]:
        """The order in which to try them for one connection: the well ones round robin, then the others."""
        well = [address for address in self._addresses if address not in self.out]
        others = [address for address in self._addresses if address in self.out]
        turn = self._next % len(well) if well else 0
        self._next += 1
        return well[turn:] + well[:turn] + others


class Balancer:
    """The component."""

    name = "loadbalancer"

    def __init__(self, config: Config) -> None:
        self._config = config
        self.backends = Backends(config.backends)
        self._connections: set[asyncio.Task[None]] = set()
        self.registry = CollectorRegistry()
        prefix, registry = "minik8s_loadbalancer", self.registry
        self._accepted = Counter(f"{prefix}_connections", "Connections by backend", ["backend"], registry=registry)
        self._refused = Counter(f"{prefix}_refused", "Connections no backend took", registry=registry)
        self._open = Gauge(f"{prefix}_open_connections", "Open connections", registry=registry)
        self._open.set_function(lambda: len(self._connections))

    def checks(self) -> Mapping[str, health.Check]:
        """Well while any backend is."""
        all_out = "no backend is well"
        return {"backends": lambda: all_out if len(self.backends.out) == len(self._config.backends) else None}

    async def run(self) -> None:
        """Listen and carry bytes until cancelled. Raises StartError."""
        host, port = self._config.listen
        try:
            server = await asyncio.start_server(self._accept, host, port, limit=self._config.buffer_bytes, backlog=1024)
        except OSError as error:
            why = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror
            raise StartError(f"cannot listen on {host}:{port}: {why}") from error
        log.info("listening", address=f"{host}:{port}", backends=len(self._config.backends))
        try:
            async with server:
                await self._probe()
        finally:
            for connection in self._connections:
                connection.cancel()

    async def _probe(self) -> None:
        """Ask every backend, again and again; the only place that takes one back."""
        async with self._session() as session:
            while True:
                await sleep(self._config.probe_interval_s)
                async with asyncio.TaskGroup() as group:
                    for address in self._config.backends:
                        group.create_task(self._ask(session, address))

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=self._config.probe_timeout_s)
        if self._config.ca_file is None:
            return aiohttp.ClientSession(timeout=timeout)
        try:
            context = ssl.create_default_context(cafile=str(self._config.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise StartError(f"cannot use the authority {self._config.ca_file}: {error}") from error
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=timeout)

    async def _ask(self, session: aiohttp.ClientSession, address: Address) -> None:
        if self._config.ca_file is None:
            if address in self.backends.out and (opened := await self._connect(address)):
                opened[1].close()
                self._take_back(address)
            return
        try:
            async with session.get(f"https://{_text(address)}/readyz") as answer:
                if answer.status == 200:
                    self._take_back(address)
                else:
                    self._leave_out(address, f"/readyz answers {answer.status}")
        except (OSError, aiohttp.ClientError) as error:  # a TimeoutError is an OSError
            self._leave_out(address, str(error) or "no answer from /readyz")

    def _leave_out(self, address: Address, why: str) -> None:
        if address not in self.backends.out:
            log.warning("backend left out", backend=_text(address), error=why)
        self.backends.out.add(address)

    def _take_back(self, address: Address) -> None:
        if address in self.backends.out:
            log.info("backend is back", backend=_text(address))
        self.backends.out.discard(address)

    async def _connect(self, address: Address) -> tuple[StreamReader, StreamWriter] | None:
        """A connection to a backend, or None; one that cannot be had leaves the backend out."""
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                return await asyncio.open_connection(*address, limit=self._config.buffer_bytes)
        except OSError as error:  # a TimeoutError is one
            self._leave_out(address, str(error) or "timeout")
            return None

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= self._config.connections_max:
            self._refused.inc()
            writer.close()
            return
        self._connections.add(task)
        try:
            for address in self.backends.order():
                if opened := await self._connect(address):
                    self._accepted.labels(_text(address)).inc()
                    await _join((reader, writer), opened)
                    return
            self._refused.inc()
        finally:
            self._connections.discard(task)
            writer.close()


async def _join(client: tuple[StreamReader, StreamWriter], backend: tuple[StreamReader, StreamWriter]) -> None:
    """Carry bytes both ways until both ends have said their last, or one is gone."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(client[0], backend[1]))
            group.create_task(_pump(backend[0], client[1]))
    except* OSError:
        pass  # a connection that breaks is the peers' to notice: closing the other side tells them
    finally:
        backend[1].close()


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := await reader.read(64 * 1024):
        writer.write(data)
        await writer.drain()  # a slow reader holds its sender back: at most one buffer waits here
    if writer.can_write_eof():
        writer.write_eof()


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
