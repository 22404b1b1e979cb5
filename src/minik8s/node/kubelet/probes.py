"""Probes: whether a container has started, lives, and is ready. A task per container; its findings go into `Health`.

As upstream: liveness and readiness wait for the startup probe; a result changes after successThreshold or
failureThreshold equal answers in a row; a container is not ready before its first success.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from minik8s.api.core_v1 import Container, Probe
from minik8s.node.kubelet.handlers import Handlers, Target

Report = Callable[[str, str], None]
"""Told of each failed check: the probe's kind (`Readiness`) and what went wrong."""


@dataclass(slots=True)
class Health:
    """What the probes of a pod's containers found, by container id. An absent id has no such probe."""

    started: dict[str, bool] = field(default_factory=dict)
    ready: dict[str, bool] = field(default_factory=dict)
    unhealthy: dict[str, str] = field(default_factory=dict)  # and why: the container is to be killed

    def forget(self, container_id: str) -> None:
        """The container has ended."""
        for findings in (self.started, self.ready, self.unhealthy):
            findings.pop(container_id, None)


class Tally:
    """Counts a probe's answers. Pure."""

    def __init__(self, probe: Probe, *, verdict: bool | None = None) -> None:
        self.verdict = verdict  # None until a threshold is reached
        self._probe = probe
        self._last: bool | None = None
        self._count = 0

    def add(self, answer: bool) -> bool:
        """Take an answer; whether the verdict changed."""
        self._count = self._count + 1 if answer == self._last else 1
        self._last = answer
        threshold = (self._probe.successThreshold or 1) if answer else (self._probe.failureThreshold or 3)
        if self._count < threshold or self.verdict == answer:
            return False
        self.verdict = answer
        return True


def has_probes(container: Container) -> bool:
    """Whether there is anything to do for `watch`."""
    return bool(container.startupProbe or container.livenessProbe or container.readinessProbe)


def expect(container: Container, container_id: str, health: Health, *, was_started: bool, was_ready: bool) -> None:
    """Set what holds before the first answer: after a restart of the kubelet, what held before it."""
    if container.startupProbe:
        health.started.setdefault(container_id, was_started)
    if container.readinessProbe:
        health.ready.setdefault(container_id, was_ready)


async def watch(
    target: Target,
    health: Health,
    handlers: Handlers,
    *,
    running_s: float,
    on_change: Callable[[], None],
    report: Report,
) -> None:
    """Probe a running container until cancelled, or it is found unhealthy. `running_s`: for how long it has run."""
    container, container_id = target.container, target.container_id

    async def startup(probe: Probe) -> bool:
        def settle(answer: bool, message: str) -> bool:
            if answer:
                health.started[container_id] = True
            else:
                health.unhealthy[container_id] = f"Container {container.name} failed startup probe, will be restarted"
            on_change()
            return False

        await _ask(probe, "Startup", target, handlers, running_s, settle, report)
        return health.started.get(container_id, False)

    async def liveness(probe: Probe) -> None:
        def settle(answer: bool, message: str) -> bool:
            if answer:
                return True
            health.unhealthy[container_id] = f"Container {container.name} failed liveness probe, will be restarted"
            on_change()
            return False

        await _ask(probe, "Liveness", target, handlers, running_s, settle, report)

    async def readiness(probe: Probe) -> None:
        def settle(answer: bool, message: str) -> bool:
            health.ready[container_id] = answer
            on_change()
            return True

        verdict = health.ready.get(container_id)
        await _ask(probe, "Readiness", target, handlers, running_s, settle, report, verdict=verdict or None)

    if container.startupProbe and not health.started.get(container_id) and not await startup(container.startupProbe):
        return
    async with asyncio.TaskGroup() as group:
        if container.livenessProbe:
            group.create_task(liveness(container.livenessProbe))
        if container.readinessProbe:
            group.create_task(readiness(container.readinessProbe))


async def _ask(
    probe: Probe,
    kind: str,
    target: Target,
    handlers: Handlers,
    running_s: float,
    settle: Callable[[bool, str], bool],
    report: Report,
    *,
    verdict: bool | None = None,
) -> None:
    """Check every periodSeconds; `settle` is told of each change of the verdict, and says whether to go on."""
    tally = Tally(probe, verdict=verdict)
    await asyncio.sleep(max(0.0, (probe.initialDelaySeconds or 0) - running_s))
    while True:
        message = await handlers.run(probe, target, probe.timeoutSeconds or 1)
        if message is not None:
            report(kind, message)
        if tally.add(message is None) and not settle(message is None, message or ""):
            return
        await asyncio.sleep(probe.periodSeconds or 10)
