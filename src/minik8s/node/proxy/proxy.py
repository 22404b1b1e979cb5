"""The service proxy: watches Services and EndpointSlices, renders rules (rules.py), has a backend follow them."""

import asyncio
import random
from asyncio import sleep
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Histogram

from minik8s.api.core_v1 import SERVICES, Service
from minik8s.api.discovery_v1 import ENDPOINTSLICES
from minik8s.client.client import Client
from minik8s.client.events import WARNING, EventRecorder
from minik8s.client.informer import Informer
from minik8s.kit.clock import Clock
from minik8s.kit.health import Check
from minik8s.node.proxy.rules import Frontend, Rule, render_rules
from minik8s.node.proxy.userspace import UserspaceProxy


@dataclass(frozen=True, slots=True)
class Config:
    """What a proxy is told."""

    node_ports_ip: str = "127.0.0.1"  # where NodePorts are served; "": nowhere
    batch_s: float = 0.005  # changes this close together are one: a rolling update makes several


class Proxy:
    """One host's: two would want the same addresses."""

    name = "proxy"

    def __init__(self, config: Config, client: Client, *, clock: Clock, rng: random.Random) -> None:
        self.registry = CollectorRegistry()
        self._config = config
        self._clock = clock
        self._services = Informer(client, SERVICES, clock=clock, rng=rng)
        self._slices = Informer(client, ENDPOINTSLICES, clock=clock, rng=rng)
        self._events = EventRecorder(client, "kube-proxy", clock=clock)
        self._backend = UserspaceProxy(clock=clock, rng=rng, registry=self.registry, on_trouble=self._trouble)
        self._dirty = asyncio.Event()
        self._syncs = Histogram(
            "kubeproxy_sync_proxy_rules_duration_seconds", "Time to render and apply all rules.", registry=self.registry
        )

    def checks(self) -> Mapping[str, Check]:
        return {
            "informers": lambda: (
                None
                if self._services.synced.is_set() and self._slices.synced.is_set()
                else "services and endpoints are not listed yet"
            )
        }

    async def run(self) -> None:
        """Serve until cancelled."""
        for informer in (self._services, self._slices):
            informer.add_handler(self._changed)
        async with asyncio.TaskGroup() as group:
            for part in (self._services, self._slices, self._events, self._backend):
                group.create_task(part.run())
            # Half of the facts would be wrong rules: endpoints missing, connections refused.
            await self._services.synced.wait()
            await self._slices.synced.wait()
            while True:
                self._sync()
                await self._dirty.wait()
                await sleep(self._config.batch_s)

    def _changed(self, type_: str, old: Any, new: Any) -> None:
        self._dirty.set()

    def _sync(self) -> None:
        self._dirty.clear()
        with self._syncs.time():
            rules = render_rules(
                self._services.items.values(), self._slices.items.values(), node_ports_ip=self._config.node_ports_ip
            )
            self._backend.apply(rules)

    def _trouble(self, frontend: Frontend, rule: Rule, why: str) -> None:
        """An event for a Service that cannot be served."""
        if service := self._services.get(rule.service.partition(":")[0]):
            about = Service(apiVersion="v1", kind="Service", metadata=service.metadata)
            self._events.event(about, WARNING, "FailedToServe", f"{frontend}: {why}")
