"""The controllers' process: one set of informers, one Lease, one queue and some workers for each controller.

Informers run from the start, so that a stand-by takes over with a warm cache. Leading begins with a look at the
server's revision: the cache must show everything the previous leader wrote.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from minik8s.api.coordination_v1 import LEASES
from minik8s.api.errors import StatusError
from minik8s.client import controller as client_controller
from minik8s.client.client import Client
from minik8s.client.informer import Informer, reach_all
from minik8s.client.leader import LeaderElection
from minik8s.client.workqueue import WorkQueue
from minik8s.control.controllers import ALL
from minik8s.control.controllers.context import Config, Context, Controller, Watch
from minik8s.kit.backoff import Backoff
from minik8s.kit.clock import Clock
from minik8s.kit.health import Check
from minik8s.kit.log import get_logger

log = get_logger(__name__)


class Manager:
    """The component `controllers`."""

    name = "controllers"

    def __init__(
        self,
        config: Config,
        client: Client,
        *,
        clock: Clock,
        rng: random.Random,
        identity: str,
        controllers: Sequence[Any] = ALL,
    ) -> None:
        self.registry = CollectorRegistry()
        self._config = config
        self._client = client
        self._rng = rng
        self._context = Context(client, config=config, clock=clock, rng=rng)
        self._depth = Gauge("workqueue_depth", "Keys waiting", ["name"], registry=self.registry)
        self._adds = Counter("workqueue_adds", "Keys added", ["name"], registry=self.registry)
        self._election = LeaderElection(
            client,
            "kube-controller-manager",
            identity=identity,
            clock=clock,
            rng=rng,
            timing=config.timing,
        )
        self._watches: list[tuple[WorkQueue, Watch, Informer[Any]]] = []
        self._queues: dict[str, WorkQueue] = {}
        self.followed: dict[Informer[Any], asyncio.Task[None]] = {}  # of kinds that came while working
        self._context.follow, self._context.unfollow = self._follow, self._unfollow
        made: list[Controller] = [make(self._context) for make in controllers]
        self.loops = [self._loop(one) for one in made]

    @property
    def informers(self) -> Mapping[str, Informer[Any]]:
        """By plural."""
        return self._context.informers

    def checks(self) -> Mapping[str, Check]:
        """What /readyz asks."""
        return {"informer-sync": self._unsynced}

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for informer in self.informers.values():
                tasks.create_task(informer.run())
            tasks.create_task(self._context.events.run())
            if self._config.leader_elect:
                await self._election.run(self._lead)
            else:
                await self._lead()

    async def _lead(self) -> None:
        """Run the controllers."""
        await self._catch_up()
        async with asyncio.TaskGroup() as tasks:
            for loop in self.loops:
                tasks.create_task(loop.run())
            # What happened while another was leading is looked at once more.
            for queue, watch, informer in self._watches:
                for obj in informer.items.values():
                    for key in watch.keys(obj):
                        queue.add(key)

    async def _catch_up(self) -> None:
        backoff = Backoff(self._rng)
        for informer in self.informers.values():
            await informer.synced.wait()
        while True:
            try:
                revision = await self._client.current_revision(LEASES)
                await reach_all(self.informers.values(), revision)
                return
            except (StatusError, TimeoutError) as error:
                log.info("waiting for caches", error=str(error))
                await asyncio.sleep(backoff.next_s())

    def _loop(self, one: Controller) -> client_controller.Controller:
        """The queue and workers of a controller, and the handlers that fill the queue."""
        queue = WorkQueue(self._rng)
        watches = tuple(one.watches())
        adds = self._adds.labels(one.name)
        self._depth.labels(one.name).set_function(lambda: len(queue))
        self._queues[one.name] = queue
        for watch in watches:
            informer = self._context.informer(watch.kind)
            informer.add_handler(_enqueue(watch, queue, adds))
            self._watches.append((queue, watch, informer))
        return client_controller.Controller(
            one.name,
            one.reconcile,
            queue=queue,
            client=self._client,
            informers={watch.kind.plural: self._context.informer(watch.kind) for watch in watches},
            workers=self._config.workers,
        )

    def _follow(self, name: str, watch: Watch) -> Informer[Any]:
        """Watch a further kind for a controller from now on."""
        queue = self._queues[name]
        informer = self._context.new_informer(watch.kind)
        informer.add_handler(_enqueue(watch, queue, self._adds.labels(name)))
        self._watches.append((queue, watch, informer))
        self.followed[informer] = self._tasks.create_task(informer.run())
        return informer

    def _unfollow(self, informer: Informer[Any], *, is_gone: bool) -> None:
        """Watch a kind no longer; if it is gone, all its objects are, and that is told."""
        self.followed.pop(informer).cancel()
        if is_gone:
            informer.clear()
        self._watches = [each for each in self._watches if each[2] is not informer]

    def _unsynced(self) -> str | None:
        waiting = sorted(plural for plural, informer in self.informers.items() if not informer.synced.is_set())
        return f"not yet listed: {', '.join(waiting)}" if waiting else None


def _enqueue(watch: Watch, queue: WorkQueue, adds: Any) -> Any:
    def handler(type_: str, old: Any, new: Any) -> None:
        keys = list(watch.keys(new))
        if old is not None and old is not new:
            keys += watch.keys(old)
        for key in keys:
            adds.inc()
            queue.add(key)

    return handler
