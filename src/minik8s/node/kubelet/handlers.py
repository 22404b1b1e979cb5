"""Carrying out what a probe or a life cycle hook says: a command, an HTTP request, a connection, a nap."""

import asyncio
import os
import ssl
from dataclasses import dataclass

import aiohttp

from minik8s.api.core_v1 import Container, LifecycleHandler, Probe
from minik8s.node.kubelet.cri import CriClient, CriError

OUTPUT_CHARS_MAX = 1024
BODY_BYTES_MAX = 10 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """The running container a handler is meant for."""

    container: Container
    container_id: str
    pod_ip: str


class Handlers:
    """Runs handlers. The HTTP session is made on first use; `close` ends it."""

    def __init__(self, cri: CriClient) -> None:
        self._cri = cri
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Harmless when nothing is open."""
        if self._session:
            await self._session.close()

    async def run(self, handler: Probe | LifecycleHandler, target: Target, timeout_s: float) -> str | None:
        """None if it went well, else what went wrong. Never raises for the target's sake."""
        try:
            async with asyncio.timeout(timeout_s):
                if handler.exec:
                    return await self._exec(handler.exec.command or [], target, timeout_s)
                if handler.httpGet:
                    return await self._http_get(handler, target)
                if handler.tcpSocket:
                    return await self._connect(handler, target)
                if isinstance(handler, LifecycleHandler) and handler.sleep:
                    await asyncio.sleep(handler.sleep.seconds)
                    return None
                return "gRPC probes are not supported yet" if isinstance(handler, Probe) and handler.grpc else None
        except TimeoutError:
            return f"timed out after {timeout_s:g}s"
        except ValueError as error:
            return str(error)

    async def _exec(self, command: list[str], target: Target, timeout_s: float) -> str | None:
        try:
            exit_code, output = await self._cri.exec_sync(target.container_id, command, timeout_s)
        except CriError as error:
            return error.message
        text = output.decode(errors="replace")[:OUTPUT_CHARS_MAX]
        return None if exit_code == 0 else text or f"command exited with {exit_code}"

    async def _http_get(self, handler: Probe | LifecycleHandler, target: Target) -> str | None:
        get = handler.httpGet
        assert get is not None
        scheme = (get.scheme or "HTTP").lower()
        path = get.path or "/"
        url = f"{scheme}://{get.host or target.pod_ip}:{port_number(get.port, target.container)}"
        headers = {"User-Agent": "kube-probe/1.36", "Accept": "*/*"}
        headers |= {header.name: header.value for header in get.httpHeaders or ()}
        if self._session is None:
            # A connection per request, and any certificate, as upstream's probes.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, force_close=True))
        try:
            full = url + (path if path.startswith("/") else f"/{path}")
            async with self._session.get(full, headers=headers, allow_redirects=False) as response:
                await response.content.read(BODY_BYTES_MAX)
        except aiohttp.ClientConnectorError as error:
            return f'Get "{full}": dial tcp {error.host}:{error.port}: connect: {_reason(error.os_error)}'
        except (aiohttp.ClientError, OSError) as error:
            return f'Get "{full}": {error}'
        return None if 200 <= response.status < 400 else f"HTTP probe failed with statuscode: {response.status}"

    async def _connect(self, handler: Probe | LifecycleHandler, target: Target) -> str | None:
        assert handler.tcpSocket is not None
        host = handler.tcpSocket.host or target.pod_ip
        port = port_number(handler.tcpSocket.port, target.container)
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            return f"dial tcp {host}:{port}: connect: {_reason(error)}"
        writer.close()
        return None


def port_number(port: int | str, container: Container) -> int:
    """A port given as a number or by the name the container has for it. Raises ValueError."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for candidate in container.ports or ():
        if candidate.name == port:
            return int(candidate.containerPort)
    raise ValueError(f"couldn't find port: {port} in container {container.name}")


def _reason(error: OSError) -> str:
    """`connection refused`: as Go says it; Python adds the call and the address."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
