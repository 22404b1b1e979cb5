"""One pod's task: look, decide (states.py), act, report; again whenever something changed. One worker per pod uid.

The kubelet tells it of changes in the API (`update`) and in the runtime (`poke`); both only wake it. Actions are
carried out one after another, so the pod is never worked on twice at a time.
"""

import asyncio
from asyncio import sleep
from collections.abc import Callable, Iterable

from minik8s.api.core_v1 import Container, Pod
from minik8s.client.events import NORMAL, WARNING
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.node.kubelet import probes, states
from minik8s.node.kubelet.crash_loop import CrashLoop, CrashLoopPolicy, after_restart
from minik8s.node.kubelet.cri import CriError
from minik8s.node.kubelet.handlers import Handlers, Target
from minik8s.node.kubelet.launcher import Launcher, LaunchError, reference
from minik8s.node.kubelet.reporter import Reporter
from minik8s.node.kubelet.states import Facts, Failure, KillContainer, Plan, RunSandbox, StartContainer, StopSandbox
from minik8s.node.kubelet.status import pod_status
from minik8s.node.kubelet.view import ContainerView, PodView

log = get_logger(__name__)

RUNTIME_RETRY_S = 0.5  # while the runtime does not answer
VOLUME_REFRESH_S = 60.0  # how old a ConfigMap's files may be
GRACE_S = 30  # where the pod does not say
PRE_STOP_REST_S = 2  # what a container gets after a hook that used up the grace period, as upstream


class PodWorker:
    """Brings one pod from whatever it is to whatever it should be, until nothing of it is left."""

    def __init__(
        self,
        uid: str,
        *,
        launcher: Launcher,
        handlers: Handlers,
        policy: CrashLoopPolicy,
        clock: Clock,
        runtime_name: Callable[[], str],
        network_is_ready: Callable[[], bool],
        make_reporter: Callable[[Pod], Reporter],
    ) -> None:
        self.uid = uid
        self.pod: Pod | None = None  # as the API has it; None: not, or no longer, there
        self._last_pod: Pod | None = None
        self._launcher = launcher
        self._cri = launcher.cri
        self._handlers = handlers
        self._policy = policy
        self._clock = clock
        self._runtime_name = runtime_name
        self._network_is_ready = network_is_ready
        self._make_reporter = make_reporter
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()  # the grace period has become shorter
        self._health = probes.Health()
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._crash_loops: dict[str, CrashLoop] = {}
        self._failures: dict[str, Failure] = {}
        self._hooked: set[str] = set()  # containers whose preStop hook has run
        self._refresh_at_s = 0.0
        self._reporter: Reporter | None = None
        self._reporting: asyncio.Task[None] | None = None

    def update(self, pod: Pod | None) -> None:
        """The API's newest state of the pod; None when it is gone from there."""
        grace_s = self._grace_s()
        self.pod = pod
        self._last_pod = pod or self._last_pod
        if self._grace_s() < grace_s:
            self._hurry.set()
        self._wake.set()

    def poke(self) -> None:
        """Something changed in the runtime or on the node."""
        self._wake.set()

    async def run(self) -> None:
        """Work until the pod is gone. Cancelling it leaves the containers alone."""
        async with asyncio.TaskGroup() as group:
            await self._work(group)
            for task in self._probes.values():
                task.cancel()
            if self._reporting:
                if self.pod is not None and self._reporter:
                    self._reporter.delete()
                else:
                    self._reporting.cancel()
        await self._forget()

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            try:
                view = await self._cri.pod(self.uid)
                self._follow_probes(view, group)
                facts = self._facts()
                plan = states.decide(self.pod, view, facts)
                self._report(view, facts, plan, group)
                if plan.is_finished:
                    return
                if plan.actions and await self._act(plan, view):
                    continue
            except CriError as error:
                # A runtime that is being restarted is no news; the node's status tells of one that stays away.
                tell = log.debug if error.code == "UNAVAILABLE" else log.warning
                tell("runtime call failed", pod=self._name, code=error.code, error=error.message)
                await sleep(RUNTIME_RETRY_S)
                continue
            await self._refresh_volumes(plan, view)
            await self._wait(plan.wake_at_s)

    async def _wait(self, until_s: float | None) -> None:
        times = [at_s for at_s in (until_s, self._refresh_at_s) if at_s]
        delay_s = max(0.0, min(times) - self._clock.now_s()) if times else None
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _act(self, plan: Plan, view: PodView) -> bool:
        """Carry out the plan; False if there is nothing to do but wait. Raises CriError."""
        if kills := [action for action in plan.actions if isinstance(action, KillContainer)]:
            await self._kill(kills, view)
        for action in plan.actions:
            try:
                match action:
                    case KillContainer():
                        pass
                    case RunSandbox():
                        if not self._can_have_network():
                            return False
                        await self._run_sandbox(action, view)
                    case StartContainer():
                        await self._start(action, view)
                    case StopSandbox():
                        await self._cri.stop_sandbox(action.id)
                    case states.RemoveContainer():
                        await self._cri.remove_container(action.id)
            except LaunchError as error:
                if error.is_passing:
                    await sleep(RUNTIME_RETRY_S)
                    return True
                self._note_failure(action, error)
        return True

    async def _run_sandbox(self, action: RunSandbox, view: PodView) -> None:
        assert self.pod is not None
        if view.containers:
            self._event(NORMAL, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        await self._launcher.run_sandbox(self.pod, action.attempt)
        self._failures.pop("", None)
        self._crash_loops.pop("", None)
        if self.pod.spec and any(v.configMap or v.projected or v.downwardAPI for v in self.pod.spec.volumes or ()):
            self._refresh_at_s = self._clock.now_s() + VOLUME_REFRESH_S

    async def _start(self, action: StartContainer, view: PodView) -> None:
        assert self.pod is not None and view.sandbox is not None
        container = _container(self.pod, action.name)
        pod_ip = view.sandbox.ip or self._launcher.node_ip
        if action.replaces:
            loop = self._crash_loops.get(action.name)
            self._crash_loops[action.name] = after_restart(
                loop, action.replaces.finished_at_s, self._clock.now_s(), self._policy
            )
        container_id = await self._launcher.start_container(
            self.pod, container, action.attempt, view.sandbox.id, pod_ip
        )
        self._failures.pop(action.name, None)
        if container.lifecycle and (hook := container.lifecycle.postStart):
            target = Target(container, container_id, pod_ip)
            if message := await self._handlers.run(hook, target, self._grace_s()):
                self._event(WARNING, "FailedPostStartHook", f"PostStartHook failed: {message}")
                self._health.unhealthy[container_id] = "FailedPostStartHook"

    def _note_failure(self, action: states.Action, error: LaunchError) -> None:
        name = action.name if isinstance(action, StartContainer) else ""
        now_s = self._clock.now_s()
        self._failures[name] = Failure(error.reason, error.message, now_s)
        if not isinstance(action, StartContainer) or not action.replaces:
            self._crash_loops[name] = after_restart(self._crash_loops.get(name), now_s, now_s, self._policy)

    async def _kill(self, kills: Iterable[KillContainer], view: PodView) -> None:
        """End containers side by side; start over when the grace period becomes shorter meanwhile."""
        while True:
            self._hurry.clear()
            killing = asyncio.ensure_future(self._kill_all(kills, view, self._grace_s()))
            hurrying = asyncio.ensure_future(self._hurry.wait())
            try:
                await asyncio.wait({killing, hurrying}, return_when=asyncio.FIRST_COMPLETED)
                if killing.done():
                    killing.result()
                    return
            finally:
                for task in (killing, hurrying):
                    task.cancel()
                await asyncio.wait({killing, hurrying})

    async def _kill_all(self, kills: Iterable[KillContainer], view: PodView, grace_s: int) -> None:
        results = await asyncio.gather(*(self._kill_one(kill, view, grace_s) for kill in kills), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _kill_one(self, kill: KillContainer, view: PodView, grace_s: int) -> None:
        self._event(NORMAL, "Killing", f"Stopping container {kill.name}" if self._is_stopping() else kill.message)
        begun_s = self._clock.monotonic_s()
        container = _find_container(self._last_pod, kill.name)
        hook = container.lifecycle.preStop if container and container.lifecycle else None
        if container and hook and grace_s > 0 and kill.id not in self._hooked:
            self._hooked.add(kill.id)
            pod_ip = (view.sandbox.ip if view.sandbox else "") or self._launcher.node_ip
            if message := await self._handlers.run(hook, Target(container, kill.id, pod_ip), grace_s):
                self._event(WARNING, "FailedPreStopHook", f"PreStopHook failed: {message}")
            grace_s = max(PRE_STOP_REST_S, round(grace_s - (self._clock.monotonic_s() - begun_s)))
        await self._cri.stop_container(kill.id, grace_s)

    async def _forget(self) -> None:
        """Remove what is left in the runtime and on disk. What fails is an orphan, which the kubelet finds again."""
        try:
            view = await self._cri.pod(self.uid)
            for container in view.containers:
                await self._cri.remove_container(container.id)
            for sandbox in view.sandboxes:
                await self._cri.remove_sandbox(sandbox.id)
        except CriError as error:
            log.warning("pod not removed from the runtime", pod=self._name, error=error.message)
        if self._last_pod:
            await self._launcher.clean_up(self._last_pod)

    async def _refresh_volumes(self, plan: Plan, view: PodView) -> None:
        if not self._refresh_at_s or self._refresh_at_s > self._clock.now_s():
            return
        self._refresh_at_s = self._clock.now_s() + VOLUME_REFRESH_S
        if self.pod and plan.stage in (states.Stage.INITIALIZING, states.Stage.RUNNING) and view.sandbox:
            try:
                await self._launcher.set_up_volumes(self.pod, view.sandbox.ip)
            except LaunchError as error:
                log.warning("volumes not refreshed", pod=self._name, error=error.message)

    def _follow_probes(self, view: PodView, group: asyncio.TaskGroup) -> None:
        """A probing task for each running container that has probes, and for no other."""
        running = {found.id: found for found in view.containers if found.state == "running"}
        for container_id in set(self._probes) - set(running):
            self._probes.pop(container_id).cancel()
            self._health.forget(container_id)
        for container_id, found in running.items():
            container = _find_container(self.pod, found.name)
            if container is None or container_id in self._probes or not probes.has_probes(container):
                continue
            was_started, was_ready = _former(self.pod, found)
            probes.expect(container, container_id, self._health, was_started=was_started, was_ready=was_ready)
            target = Target(
                container, container_id, (view.sandbox.ip if view.sandbox else "") or self._launcher.node_ip
            )
            running_s = self._clock.now_s() - found.started_at_s
            self._probes[container_id] = group.create_task(self._probe(target, running_s))

    async def _probe(self, target: Target, running_s: float) -> None:
        def report(kind: str, message: str) -> None:
            self._event(WARNING, "Unhealthy", f"{kind} probe failed: {message}")

        await probes.watch(
            target, self._health, self._handlers, running_s=running_s, on_change=self._wake.set, report=report
        )

    def _facts(self) -> Facts:
        return Facts(
            now_s=self._clock.now_s(),
            policy=self._policy,
            crash_loops=self._crash_loops,
            failures=self._failures,
            unhealthy=self._health.unhealthy,
            started=self._health.started,
            ready=self._health.ready,
        )

    def _report(self, view: PodView, facts: Facts, plan: Plan, group: asyncio.TaskGroup) -> None:
        if self.pod is None:
            return
        if self._reporting is None or self._reporter is None:
            self._reporter = self._make_reporter(self.pod)
            self._reporting = group.create_task(self._reporter.run())
        has_ended = plan.is_finished or plan.stage is states.Stage.ENDED
        if has_ended and not view.containers and self.pod.status and self.pod.status.containerStatuses:
            return  # removed since, after their end was told
        self._reporter.show(
            pod_status(
                self.pod,
                view,
                facts,
                node_ip=self._launcher.node_ip,
                runtime_name=self._runtime_name(),
                is_final=plan.is_finished,
            )
        )

    def _grace_s(self) -> int:
        """The pod's grace period, as it stands now."""
        pod = self.pod or self._last_pod
        if pod is None or pod.metadata is None or pod.spec is None:
            return GRACE_S
        grace_s = pod.spec.terminationGracePeriodSeconds
        if pod.metadata.deletionTimestamp is not None and pod.metadata.deletionGracePeriodSeconds is not None:
            grace_s = pod.metadata.deletionGracePeriodSeconds
        if self.pod is None:
            return 1  # deleted by force
        return GRACE_S if grace_s is None else max(1, grace_s)

    def _is_stopping(self) -> bool:
        return self.pod is None or (self.pod.metadata is not None and self.pod.metadata.deletionTimestamp is not None)

    def _can_have_network(self) -> bool:
        uses_node = bool(self.pod and self.pod.spec and self.pod.spec.hostNetwork)
        return uses_node or self._network_is_ready()

    def _event(self, type_: str, reason: str, message: str) -> None:
        if self._last_pod:
            self._launcher.events.event(reference(self._last_pod), type_, reason, message)

    @property
    def _name(self) -> str:
        meta = self._last_pod.metadata if self._last_pod else None
        return f"{meta.namespace}/{meta.name}" if meta else self.uid


def _containers(pod: Pod) -> list[Container]:
    assert pod.spec is not None
    return [*(pod.spec.initContainers or ()), *pod.spec.containers]


def _find_container(pod: Pod | None, name: str) -> Container | None:
    return next((container for container in _containers(pod) if container.name == name), None) if pod else None


def _container(pod: Pod, name: str) -> Container:
    found = _find_container(pod, name)
    assert found is not None, f"decide named a container the pod does not have: {name}"
    return found


def _former(pod: Pod | None, running: ContainerView) -> tuple[bool, bool]:
    """(started, ready) of this very container as the API last heard of it."""
    for status in (pod and pod.status and pod.status.containerStatuses) or ():
        if (status.containerID or "").endswith(f"//{running.id}"):
            return bool(status.started), bool(status.ready)
    return False, False
