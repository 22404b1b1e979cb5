"""Listening: a gRPC server on one or more addresses, over TLS or plain."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable

from minik8s.kit.rpc.connection import Connection
from minik8s.kit.rpc.limits import Limits
from minik8s.kit.rpc.methods import Resolve
from minik8s.kit.run import StartError

_HANDSHAKE_TIMEOUT_S = 10.0


class RpcServer:
    """Serves from `listen` until `stop`. `other` serves connections that are not HTTP/2, if given."""

    def __init__(
        self,
        resolve: Resolve,
        limits: Limits | None = None,
        *,
        context: ssl.SSLContext | None = None,
        other: Callable[[], asyncio.Protocol] | None = None,
    ) -> None:
        self._resolve = resolve
        self._limits = limits or Limits()
        self._context = context
        self._other = other
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        if context:
            # gRPC's clients offer h2 alone; whoever offers both, such as curl, comes for `other`.
            context.set_alpn_protocols(["http/1.1", "h2"] if other else ["h2"])

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; the port, which is a free one if 0 was asked. Raises StartError if it is taken."""
        loop = asyncio.get_running_loop()
        timeout = _HANDSHAKE_TIMEOUT_S if self._context else None
        try:
            listener = await loop.create_server(
                self._connect, host, port, ssl=self._context, ssl_handshake_timeout=timeout, backlog=1024
            )
        except OSError as error:
            raise StartError(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from error
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def stop(self, grace_s: float) -> None:
        """Take no new calls; those that run have `grace_s` to end."""
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.go_away()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                for connection in list(self._connections):
                    await connection.closed.wait()
        for connection in list(self._connections):
            connection.abort()

    def _connect(self) -> asyncio.Protocol:
        return Connection(self._resolve, self._limits, self._connections, self._other)
