"""Leader election by a Lease, as client-go's: of several candidates one works, the others stand by.

The holder renews the Lease; a candidate takes it when the holder has not for `lease_duration_s`. Clocks of different
machines are never compared: a candidate times, by its own clock, how long it has seen the Lease unchanged. A holder
that cannot renew for `renew_deadline_s` (less than the duration) stops working before another may begin. Every write
carries the resourceVersion read, so of two candidates one loses. A holder that is asked to stop gives the Lease back:
the next takes over within `retry_period_s`; of one that was killed, after `lease_duration_s`.
"""

import asyncio
import random
from asyncio import sleep
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from minik8s.api.coordination_v1 import LEASES, Lease
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.kit.clock import Clock, micro_timestamp
from minik8s.kit.log import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """client-go's defaults."""

    lease_duration_s: float = 15.0
    renew_deadline_s: float = 10.0
    retry_period_s: float = 2.0

    @property
    def attempt_s(self) -> float:
        """How long one try may take, and how often a holder renews: each renewal is a write of the store."""
        return max(self.retry_period_s, self.renew_deadline_s / 3)

    def fault(self) -> str | None:
        """What is wrong with these, in upstream's words."""
        if self.lease_duration_s < 1:
            return "leaseDuration must be at least one second"
        if self.lease_duration_s <= self.renew_deadline_s:
            return "leaseDuration must be greater than renewDeadline"
        if self.renew_deadline_s <= 1.2 * self.retry_period_s:
            return "renewDeadline must be greater than retryPeriod*JitterFactor"
        return None


@dataclass(slots=True)
class Observation:
    """What a candidate has seen of the Lease, and when by its own clock it last changed."""

    record: tuple[Any, ...] | None = None
    changed_s: float = 0.0

    def see(self, lease: Lease, now_s: float) -> None:
        """Note the Lease as read at `now_s`."""
        spec = lease.spec
        record = (spec.holderIdentity, spec.renewTime, spec.leaseTransitions) if spec else ()
        if record != self.record:
            self.record, self.changed_s = record, now_s


def may_take(lease: Lease, seen: Observation, identity: str, now_s: float) -> bool:
    """Whether `identity` holds the Lease, or may take it."""
    spec = lease.spec
    if spec is None or not spec.holderIdentity or spec.holderIdentity == identity:
        return True
    return now_s >= seen.changed_s + (spec.leaseDurationSeconds or 0)


class LeaderElection:
    """One candidate for the Lease `namespace`/`name`."""

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        identity: str,
        clock: Clock,
        rng: random.Random,
        namespace: str = "kube-system",
        timing: Timing | None = None,
    ) -> None:
        self._client = client
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self._rng = rng
        self._timing = timing or Timing()
        self._seen = Observation()
        self._held: Lease | None = None  # as we wrote it last, so that renewing is one call
        self.is_leader = False

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Call `lead` while leading, cancel it when not; for ever. An exception of `lead` ends it all."""
        while True:
            while not await self._try(self._timing.attempt_s):
                await self._pause()
            log.info("became leader", lease=self._name, identity=self._identity)
            self.is_leader = True
            try:
                await self._lead_until_lost(lead)
            finally:
                self.is_leader = False
                await self._release()
            log.warning("lost leadership", lease=self._name, identity=self._identity)

    async def _lead_until_lost(self, lead: Callable[[], Awaitable[None]]) -> None:
        async def work() -> None:
            await lead()
            raise AssertionError("lead() ended by itself")

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(work())
            await self._renew_until_lost()
            task.cancel()

    async def _renew_until_lost(self) -> None:
        deadline_s = self._clock.monotonic_s() + self._timing.renew_deadline_s
        pause_s = self._timing.attempt_s
        while (left_s := deadline_s - self._clock.monotonic_s()) > 0:
            await sleep(min(left_s, pause_s))
            asked_s = self._clock.monotonic_s()
            # A call that hangs, on a server that is frozen, must leave time for another to another server.
            if await self._try(min(self._timing.attempt_s, max(deadline_s - asked_s, 0.01))):
                # Counted from before the request: others count from when it took effect, which is later.
                deadline_s = asked_s + self._timing.renew_deadline_s
                pause_s = self._timing.attempt_s
            else:
                pause_s = self._timing.retry_period_s / 5

    async def _try(self, timeout_s: float) -> bool:
        """Take or renew the Lease; whether it is ours now."""
        try:
            async with asyncio.timeout(timeout_s):
                if self._held is not None:
                    held, self._held = self._held, None
                    transitions = (held.spec.leaseTransitions or 0) if held.spec else 0
                    self._held = await self._patch(held, self._spec(transitions=transitions, acquire=False))
                    return True
                return await self._take()
        except TimeoutError:
            return False
        except StatusError as error:
            if error.reason not in ("Conflict", "AlreadyExists"):
                log.info("cannot take the lease", lease=self._name, reason=error.reason, error=error.message)
            return False

    async def _take(self) -> bool:
        try:
            lease = await self._client.get(LEASES, self._name, namespace=self._namespace)
        except StatusError as error:
            if error.reason != "NotFound":
                raise
            spec = self._spec(transitions=0, acquire=True)
            document: dict[str, Any] = {"metadata": {"name": self._name, "namespace": self._namespace}, "spec": spec}
            self._held = await self._client.create(LEASES, document)
            return True
        now_s = self._clock.monotonic_s()
        self._seen.see(lease, now_s)
        if not may_take(lease, self._seen, self._identity, now_s):
            return False
        old = lease.spec
        is_ours = old is not None and old.holderIdentity == self._identity
        transitions = ((old.leaseTransitions or 0) if old else 0) + (0 if is_ours else 1)
        self._held = await self._patch(lease, self._spec(transitions=transitions, acquire=not is_ours))
        return True

    async def _release(self) -> None:
        """Give the Lease back; if that fails it runs out by itself."""
        # Shielded: this runs while being cancelled, and must neither hang nor be cut off by the next signal.
        task = asyncio.ensure_future(self._give_back())
        await asyncio.shield(task)

    async def _give_back(self) -> None:
        self._held = None
        try:
            async with asyncio.timeout(1.0):
                lease = await self._client.get(LEASES, self._name, namespace=self._namespace)
                if lease.spec and lease.spec.holderIdentity == self._identity:
                    now = micro_timestamp(self._clock)
                    await self._patch(lease, {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now})
        except (TimeoutError, StatusError) as error:
            log.info("lease not given back", lease=self._name, error=str(error))

    async def _patch(self, lease: Lease, spec: dict[str, Any]) -> Lease:
        assert lease.metadata is not None
        patch = {"metadata": {"resourceVersion": lease.metadata.resourceVersion}, "spec": spec}
        return await self._client.patch(LEASES, self._name, patch, namespace=self._namespace)

    def _spec(self, *, transitions: int, acquire: bool) -> dict[str, Any]:
        now = micro_timestamp(self._clock)
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._timing.lease_duration_s)),
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        return spec | {"acquireTime": now} if acquire else spec

    async def _pause(self) -> None:
        # Jitter, so that candidates started together do not collide for ever.
        await sleep(self._timing.retry_period_s * (1 + 0.2 * self._rng.random()))
