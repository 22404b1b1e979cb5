"""The user-space backend: one listening socket per frontend, connections relayed by this process.

Needs no rights and nothing installed where service addresses are in 127/8, as any of those can be listened on. An
established connection belongs to its two sockets: rules that change never touch it.
"""

import asyncio
import os
import random
import socket
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter

from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.node.proxy.balancer import Balancer
from minik8s.node.proxy.relay import Side, join
from minik8s.node.proxy.rules import Endpoint, Frontend, Rule, Rules

log = get_logger(__name__)

CONNECT_TIMEOUT_S = 2.0  # per endpoint; on one machine a dead one refuses at once
BACKLOG = 1024
PRIVILEGED = "a port below 1024 needs root: run the proxy as root, or give the Service a port from 1024 up"
RETRY_S = 2.0  # between attempts to listen on an address that is taken


class UserspaceProxy:
    """Makes rules true: `apply` may be called at any time while `run` runs.

    `on_trouble` hears, once each, of frontends that cannot be listened on, and why.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        registry: CollectorRegistry,
        on_trouble: Callable[[Frontend, Rule, str], None],
    ) -> None:
        self._on_trouble = on_trouble
        self._clock = clock
        self._rng = rng
        self._servers: dict[Frontend, asyncio.Server] = {}
        self._balancers: dict[Frontend, Balancer] = {}
        self._troubles: dict[Frontend, str] = {}
        self._wanted: Rules = {}
        self._changed = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._connections = Counter("kubeproxy_connections", "Connections relayed.", ["result"], registry=registry)

    def apply(self, rules: Rules) -> None:
        """Have these rules followed. New endpoints count at once, new frontends as soon as `run` gets to them."""
        # Without endpoints nobody listens, so that clients are refused at once, as by upstream's REJECT rule.
        self._wanted = {frontend: rule for frontend, rule in rules.items() if rule.endpoints}
        for frontend, balancer in self._balancers.items():
            if rule := rules.get(frontend):
                balancer.update(rule)
        self._changed.set()

    async def run(self) -> None:
        """Follow the rules until cancelled; relayed connections end with it."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                while True:
                    self._changed.clear()
                    self._close_unwanted()
                    await self._open_wanted()
                    await self._wait()
        finally:
            for server in self._servers.values():
                server.close()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(RETRY_S if self._troubles else None):
                await self._changed.wait()
        except TimeoutError:
            return

    def _close_unwanted(self) -> None:
        for frontend in self._servers.keys() - self._wanted.keys():
            # Stops listening only: what is connected goes on.
            self._servers.pop(frontend).close()
            self._balancers.pop(frontend)
            log.info("frontend closed", frontend=str(frontend))
        for frontend in self._troubles.keys() - self._wanted.keys():
            del self._troubles[frontend]

    async def _open_wanted(self) -> None:
        for frontend, rule in list(self._wanted.items()):
            if frontend not in self._servers:
                await self._open(frontend, rule)

    async def _open(self, frontend: Frontend, rule: Rule) -> None:
        if frontend.protocol != "TCP":
            self._note(frontend, rule, f"{frontend.protocol} is not supported yet by the user-space proxy")
            return
        balancer = Balancer(rule, clock=self._clock, start=self._rng.randrange(1024))
        try:
            listener = socket.create_server((frontend.ip, frontend.port), backlog=BACKLOG)
        except PermissionError:
            self._note(frontend, rule, PRIVILEGED)
            return
        except OSError as error:
            self._note(frontend, rule, f"cannot listen: {os.strerror(error.errno or 0)}")
            return
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        self._servers[frontend] = await loop.create_server(lambda: _Client(self, balancer), sock=listener)
        self._balancers[frontend] = balancer
        # It may have changed while the server was being made.
        balancer.update(self._wanted.get(frontend, rule))
        if self._troubles.pop(frontend, None):
            log.info("frontend opened after all", frontend=str(frontend), service=rule.service)
        else:
            log.debug("frontend opened", frontend=str(frontend), service=rule.service)

    def _note(self, frontend: Frontend, rule: Rule, why: str) -> None:
        if self._troubles.get(frontend) != why:
            log.warning("service not served", service=rule.service, frontend=str(frontend), why=why)
            self._on_trouble(frontend, rule, why)
        self._troubles[frontend] = why

    def accept(self, client: "_Client", balancer: Balancer) -> None:
        """Find an endpoint for a new connection."""
        assert self._group is not None
        self._group.create_task(self._serve(client, balancer))

    async def _serve(self, client: "_Client", balancer: Balancer) -> None:
        assert client.transport is not None
        client_ip = client.transport.get_extra_info("peername")[0]
        for endpoint in balancer.candidates(client_ip):
            if server := await _connect(endpoint):
                balancer.connected(client_ip, endpoint)
                self._connections.labels("relayed").inc()
                join(client, server)
                return
            balancer.refused(endpoint)
        # Accepted already, so the nearest to refusing it is a reset.
        self._connections.labels("refused").inc()
        client.reset()


class _Client(Side):
    """The client's end: on connecting it asks for an endpoint."""

    def __init__(self, proxy: UserspaceProxy, balancer: Balancer) -> None:
        super().__init__()
        self._proxy = proxy
        self._balancer = balancer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._proxy.accept(self, self._balancer)


async def _connect(endpoint: Endpoint) -> Side | None:
    """A connection to the endpoint; None if there is none to be had."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, side = await loop.create_connection(Side, endpoint.ip, endpoint.port)
            return side
    except OSError:  # TimeoutError is one
        return None
