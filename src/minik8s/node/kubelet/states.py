"""The life cycle of a pod on its node: from a pod, what the runtime has of it, and the time, to what to do. Pure.

Rules of this file: everything that decides about starting and stopping is here; nothing here does anything.
pod_worker.py calls `decide` after every change and carries out the actions, one after another; then it asks again. So
each decision needs to be right only for what it sees, and a kubelet that was restarted just goes on.

    STOPPING      the pod is being deleted, or is gone: containers, then sandboxes, then done
    ENDED         its containers have run to their end: give the sandbox back, keep the logs
    STARTING      it has no sandbox to run in: make one
    INITIALIZING  its init containers run, one after another
    RUNNING       its containers run; those that end, or are unhealthy, are restarted as restartPolicy says

The first row of STAGES whose question is answered yes is the pod's stage.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from minik8s.api.core_v1 import Container, Pod
from minik8s.node.kubelet.crash_loop import CrashLoop, CrashLoopPolicy, eligible_at_s
from minik8s.node.kubelet.view import ContainerView, PodView

KEPT_ATTEMPTS = 2  # of each container: the newest, and the one before it for `kubectl logs --previous`


@dataclass(frozen=True, slots=True)
class RunSandbox:
    """Make the pod's volumes and a sandbox."""

    attempt: int


@dataclass(frozen=True, slots=True)
class StopSandbox:
    """Stop a sandbox and give its address back."""

    id: str


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Create and start an attempt at a container; `replaces` is the one before it, if any."""

    name: str
    attempt: int
    replaces: ContainerView | None = None


@dataclass(frozen=True, slots=True)
class KillContainer:
    """Run the preStop hook, then end a container within the pod's grace period. Neighbours in a plan die together."""

    id: str
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Forget an ended container, and its log."""

    id: str


Action = RunSandbox | StopSandbox | StartContainer | KillContainer | RemoveContainer


class Stage(Enum):
    """Where in its life a pod is."""

    STOPPING = "stopping"
    ENDED = "ended"
    STARTING = "starting"
    INITIALIZING = "initializing"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a container (or, under the name "", the sandbox) could not be started."""

    reason: str  # CreateContainerError, RunContainerError, ErrImagePull, …
    message: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the pod and the runtime's view of it."""

    now_s: float
    policy: CrashLoopPolicy = field(default_factory=CrashLoopPolicy)
    crash_loops: Mapping[str, CrashLoop] = field(default_factory=dict)  # by container name
    failures: Mapping[str, Failure] = field(default_factory=dict)  # by container name; "" is the sandbox
    unhealthy: Mapping[str, str] = field(default_factory=dict)  # container id → what its probe said
    started: Mapping[str, bool] = field(default_factory=dict)  # container id → startup probe; absent: has none
    ready: Mapping[str, bool] = field(default_factory=dict)  # container id → readiness probe; absent: has none


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in order; with nothing to do, when to ask again unless something changes."""

    stage: Stage
    actions: tuple[Action, ...] = ()
    wake_at_s: float | None = None
    is_finished: bool = False  # nothing of a stopping pod is left


class _Step:
    """One thing a container needs: an action now, or a time to wait for. Or nothing: both None."""

    __slots__ = ("action", "at_s")

    def __init__(self, action: Action | None = None, at_s: float | None = None) -> None:
        self.action = action
        self.at_s = at_s


def decide(pod: Pod | None, view: PodView, facts: Facts) -> Plan:
    """What to do about a pod; None if the API no longer has it."""
    for stage, applies, act in STAGES:
        if applies(pod, view, facts):
            return act(stage, pod, view, facts)
    raise AssertionError("the last stage always applies")


def is_stopping(pod: Pod | None, view: PodView, facts: Facts) -> bool:
    """Deleted, or gone from the API."""
    return pod is None or pod.metadata is None or pod.metadata.deletionTimestamp is not None


def has_ended(pod: Pod | None, view: PodView, facts: Facts) -> bool:
    """Whether no container will ever run (again): the pod succeeded or failed."""
    assert pod is not None and pod.spec is not None
    if pod.status and pod.status.phase in ("Succeeded", "Failed"):
        return True
    if init_failure(pod, view):
        return not any(container.state == "running" for container in view.containers)
    latest = [view.latest(container.name) for container in pod.spec.containers]
    return all(found is not None and found.state == "exited" and not will_restart(pod, found) for found in latest)


def lacks_sandbox(pod: Pod | None, view: PodView, facts: Facts) -> bool:
    """Whether there is nothing to run containers in."""
    return view.ready_sandbox is None


def is_initializing(pod: Pod | None, view: PodView, facts: Facts) -> bool:
    """Whether the containers must still wait for the init containers."""
    assert pod is not None and pod.spec is not None
    return bool(pod.spec.initContainers) and not is_initialized(pod, view, facts)


def is_initialized(pod: Pod, view: PodView, facts: Facts) -> bool:
    """Whether every init container has done its part; settled once a container of the pod has been made."""
    assert pod.spec is not None
    if any(_in_sandbox(view, container.name) for container in pod.spec.containers):
        return True
    return all(_has_done_its_part(init, view, facts) for init in pod.spec.initContainers or ())


def init_failure(pod: Pod, view: PodView) -> ContainerView | None:
    """The init container whose failure is the pod's, because it may not be tried again."""
    assert pod.spec is not None
    if pod.spec.restartPolicy != "Never":
        return None
    for init in pod.spec.initContainers or ():
        found = view.latest(init.name)
        if not is_sidecar(init) and found and found.state == "exited" and found.exit_code != 0:
            return found
    return None


def will_restart(pod: Pod, container: ContainerView) -> bool:
    """Whether restartPolicy has an ended container started again."""
    assert pod.spec is not None
    policy = pod.spec.restartPolicy or "Always"
    return policy == "Always" or (policy == "OnFailure" and container.exit_code != 0)


def is_sidecar(init: Container) -> bool:
    """An init container that keeps running beside the others."""
    return init.restartPolicy == "Always"


def retry_at_s(name: str, ended: ContainerView | None, facts: Facts) -> float:
    """The earliest time to start the container `name` (again)."""
    at_s = eligible_at_s(facts.crash_loops.get(name), ended.finished_at_s, facts.policy) if ended else 0.0
    if failure := facts.failures.get(name):
        loop = facts.crash_loops.get(name)
        at_s = max(at_s, failure.at_s + (loop.delay_s if loop else facts.policy.first_s))
    return at_s


def _stop(stage: Stage, pod: Pod | None, view: PodView, facts: Facts) -> Plan:
    running = view.running()
    sidecars = [init.name for init in (pod.spec.initContainers if pod and pod.spec else None) or () if is_sidecar(init)]
    # Sidecars serve the others: they go last, in the reverse of the order they came in.
    first = [container for container in running if container.name not in sidecars]
    if not first and running:
        last_name = max((container.name for container in running), key=sidecars.index)
        first = [container for container in running if container.name == last_name]
    if first:
        return Plan(stage, tuple(_kill(container, "Stopping container") for container in first))
    if ready := [sandbox for sandbox in view.sandboxes if sandbox.is_ready]:
        return Plan(stage, tuple(StopSandbox(sandbox.id) for sandbox in ready))
    return Plan(stage, is_finished=True)


def _release(stage: Stage, pod: Pod | None, view: PodView, facts: Facts) -> Plan:
    plan = _stop(stage, pod, view, facts)
    return Plan(stage, plan.actions)


def _make_sandbox(stage: Stage, pod: Pod | None, view: PodView, facts: Facts) -> Plan:
    if lost := view.running():
        # Their sandbox is gone; upstream restarts them in the new one as well.
        message = "Pod sandbox changed, it will be killed and re-created."
        return Plan(stage, tuple(_kill(container, message) for container in lost))
    at_s = retry_at_s("", None, facts)
    if at_s > facts.now_s:
        return Plan(stage, wake_at_s=at_s)
    attempt = view.sandboxes[0].attempt + 1 if view.sandboxes else 0
    return Plan(stage, (RunSandbox(attempt),))


def _initialize(stage: Stage, pod: Pod | None, view: PodView, facts: Facts) -> Plan:
    assert pod is not None and pod.spec is not None
    steps = []
    for init in pod.spec.initContainers or ():
        steps.append(_step(pod, init, view, facts, restarts=True))
        if not _has_done_its_part(init, view, facts):
            break
    return _plan(stage, steps)


def _run(stage: Stage, pod: Pod | None, view: PodView, facts: Facts) -> Plan:
    assert pod is not None and pod.spec is not None
    sidecars = [init for init in pod.spec.initContainers or () if is_sidecar(init)]
    steps = [_step(pod, sidecar, view, facts, restarts=True) for sidecar in sidecars]
    for container in pod.spec.containers:
        found = view.latest(container.name)
        restarts = found is None or found.state != "exited" or will_restart(pod, found)
        steps.append(_step(pod, container, view, facts, restarts=restarts))
    return _plan(stage, steps, superfluous(pod, view))


def _step(pod: Pod, container: Container, view: PodView, facts: Facts, *, restarts: bool) -> _Step:
    """What one container needs."""
    found = view.latest(container.name)
    current = _in_sandbox(view, container.name)
    if current and current.state == "running":
        if message := facts.unhealthy.get(current.id):
            return _Step(_kill(current, message))
        return _Step()
    if current and current.state in ("created", "unknown"):
        # An earlier kubelet died between create and start, or the runtime lost track of it.
        return _Step(RemoveContainer(current.id) if current.state == "created" else _kill(current, "state unknown"))
    if not restarts or (current and _is_complete(container, current, pod)):
        return _Step()
    at_s = retry_at_s(container.name, found, facts)
    if at_s > facts.now_s:
        return _Step(at_s=at_s)
    return _Step(StartContainer(container.name, found.attempt + 1 if found else 0, found))


def superfluous(pod: Pod, view: PodView) -> list[Action]:
    """Ended attempts nobody will ask for any more."""
    assert pod.spec is not None
    names = [container.name for container in [*(pod.spec.initContainers or ()), *pod.spec.containers]]
    return [
        RemoveContainer(old.id)
        for name in names
        for old in view.attempts(name)[KEPT_ATTEMPTS:]
        if old.state == "exited"
    ]


def _plan(stage: Stage, steps: Iterable[_Step], extra: Iterable[Action] = ()) -> Plan:
    steps = list(steps)
    actions = [step.action for step in steps if step.action]
    times = [step.at_s for step in steps if step.at_s is not None]
    return Plan(stage, (*actions, *extra), wake_at_s=min(times, default=None))


def _kill(container: ContainerView, message: str) -> KillContainer:
    return KillContainer(container.id, container.name, message)


def _in_sandbox(view: PodView, name: str) -> ContainerView | None:
    """The newest attempt at a container, if it was made in the present sandbox."""
    found = view.latest(name)
    return found if found and view.sandbox and found.sandbox_id == view.sandbox.id else None


def _has_done_its_part(init: Container, view: PodView, facts: Facts) -> bool:
    found = _in_sandbox(view, init.name)
    if found is None:
        return False
    if is_sidecar(init):
        return found.state == "running" and facts.started.get(found.id, True)
    return found.state == "exited" and found.exit_code == 0


def _is_complete(container: Container, current: ContainerView, pod: Pod) -> bool:
    """An init container that succeeded is not run again in the same sandbox."""
    assert pod.spec is not None
    is_init = container.name in {init.name for init in pod.spec.initContainers or ()}
    return is_init and not is_sidecar(container) and current.state == "exited" and current.exit_code == 0


_Question = Callable[[Pod | None, PodView, Facts], bool]
_Answer = Callable[[Stage, Pod | None, PodView, Facts], Plan]

STAGES: tuple[tuple[Stage, _Question, _Answer], ...] = (
    (Stage.STOPPING, is_stopping, _stop),
    (Stage.ENDED, has_ended, _release),
    (Stage.STARTING, lacks_sandbox, _make_sandbox),
    (Stage.INITIALIZING, is_initializing, _initialize),
    (Stage.RUNNING, lambda pod, view, facts: True, _run),
)
