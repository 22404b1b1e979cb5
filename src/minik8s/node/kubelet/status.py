"""A pod's status from what the runtime has of it. Pure: pod_worker.py calls it, reporter.py sends the result.

Phases, conditions, reasons and texts are upstream's: kubectl and users read them. The result is a document rather
than a model, because a patch must say what is false, zero or empty.
"""

from datetime import UTC, datetime
from typing import Any

from minik8s.api.core_v1 import Container, Pod
from minik8s.node.kubelet import states
from minik8s.node.kubelet.states import Facts
from minik8s.node.kubelet.view import ContainerView, PodView

Document = dict[str, Any]


def pod_status(
    pod: Pod, view: PodView, facts: Facts, *, node_ip: str, runtime_name: str, is_final: bool = False
) -> Document:
    """The part of the pod's status that a kubelet owns. `is_final`: all has stopped for good."""
    assert pod.spec is not None and pod.metadata is not None
    initialized = states.is_initialized(pod, view, facts)
    inits = [
        _container_status(pod, init, view, facts, runtime_name, waiting="PodInitializing", is_init=True)
        for init in pod.spec.initContainers or ()
    ]
    waiting = "ContainerCreating" if initialized else "PodInitializing"
    containers = [
        _container_status(pod, container, view, facts, runtime_name, waiting=waiting)
        for container in pod.spec.containers
    ]
    phase = _phase(pod, view, containers, initialized=initialized, is_final=is_final)
    sandbox = view.ready_sandbox
    pod_ip = (sandbox.ip or node_ip) if sandbox else ""
    if not pod_ip and phase in ("Succeeded", "Failed") and pod.status:
        pod_ip = pod.status.podIP or ""
    started = pod.status.startTime if pod.status and pod.status.startTime else datetime.fromtimestamp(facts.now_s, UTC)
    return {
        "observedGeneration": pod.metadata.generation or 0,
        "phase": phase,
        "startTime": _time_of(started),
        "hostIP": node_ip,
        "hostIPs": [{"ip": node_ip}],
        "podIP": pod_ip or None,
        "podIPs": [{"ip": pod_ip}] if pod_ip else None,
        "conditions": _conditions(pod, view, facts, phase, inits, containers, initialized=initialized),
        "initContainerStatuses": inits or None,
        "containerStatuses": containers,
    }


def _phase(pod: Pod, view: PodView, containers: list[Document], *, initialized: bool, is_final: bool) -> str:
    """As upstream's getPhase; a phase that ended a pod stays."""
    assert pod.spec is not None
    if pod.status and pod.status.phase in ("Succeeded", "Failed"):
        return pod.status.phase
    if states.init_failure(pod, view):
        return "Failed"
    ended = [_ended(status) for status in containers]
    if is_final:
        return "Succeeded" if all(end and end["exitCode"] == 0 for end in ended) else "Failed"
    never_ran = ["waiting" in status["state"] and not end for status, end in zip(containers, ended, strict=True)]
    if not initialized or any(never_ran):
        return "Pending"
    if any("running" in status["state"] for status in containers):
        return "Running"
    if pod.spec.restartPolicy in (None, "Always"):
        return "Running"
    if all(end and end["exitCode"] == 0 for end in ended):
        return "Succeeded"
    return "Failed" if pod.spec.restartPolicy == "Never" else "Running"


def _ended(status: Document) -> Document | None:
    """How a container ended, if it is not running now."""
    if "running" in status["state"]:
        return None
    return status["state"].get("terminated") or status["lastState"].get("terminated")


def _container_status(
    pod: Pod,
    container: Container,
    view: PodView,
    facts: Facts,
    runtime_name: str,
    *,
    waiting: str,
    is_init: bool = False,
) -> Document:
    attempts = view.attempts(container.name)
    latest = attempts[0] if attempts else None
    is_running = latest is not None and latest.state == "running"
    started = bool(latest and is_running and facts.started.get(latest.id, True))
    state: Document = {"waiting": {"reason": waiting}}
    last_state: Document = {}
    if latest is not None:
        state, previous = _state(pod, container, latest, facts, runtime_name, is_init=is_init)
        if previous:
            last_state = {"terminated": previous}
        elif len(attempts) > 1 and attempts[1].state == "exited":
            last_state = {"terminated": _terminated(attempts[1], runtime_name)}
    elif failure := facts.failures.get(container.name):
        state = {"waiting": {"reason": failure.reason, "message": failure.message}}
    elif (failure := facts.failures.get("")) and not view.ready_sandbox:
        # Upstream tells this only as an event; the status is where people look first.
        state = {"waiting": {"reason": waiting, "message": failure.message}}
    if is_init and not states.is_sidecar(container):
        ready = bool(latest and latest.state == "exited" and latest.exit_code == 0)
    else:
        ready = bool(latest and started and facts.ready.get(latest.id, True))
    return {
        "name": container.name,
        "image": (latest.image if latest else "") or container.image or "",
        "imageID": latest.image_id if latest else "",
        "containerID": f"{runtime_name}://{latest.id}" if latest else "",
        "restartCount": latest.attempt if latest else 0,
        "ready": ready,
        "started": started,
        "state": state,
        "lastState": last_state,
    }


def _state(
    pod: Pod, container: Container, latest: ContainerView, facts: Facts, runtime_name: str, *, is_init: bool
) -> tuple[Document, Document | None]:
    """(state, how this attempt ended if the state is to wait for the next one)."""
    if latest.state == "running":
        return {"running": {"startedAt": _time(latest.started_at_s)}}, None
    if latest.state != "exited":
        return {"waiting": {"reason": "ContainerCreating"}}, None
    end = _terminated(latest, runtime_name)
    if is_init:
        policy = pod.spec.restartPolicy if pod.spec else None
        restarts = states.is_sidecar(container) or (latest.exit_code != 0 and policy != "Never")
    else:
        restarts = states.will_restart(pod, latest)
    if not restarts or states.is_stopping(pod, PodView(uid=""), facts):
        return {"terminated": end}, None
    failure = facts.failures.get(container.name)
    loop = facts.crash_loops.get(container.name)
    if states.retry_at_s(container.name, latest, facts) > facts.now_s and (loop or failure):
        delay_s = loop.delay_s if loop else facts.policy.first_s
        name = f"{container.name} pod={pod.metadata.name}_{pod.metadata.namespace}" if pod.metadata else container.name
        crashing = {
            "reason": "CrashLoopBackOff",
            "message": f"back-off {_duration(delay_s)} restarting failed container={name}({_uid(pod)})",
        }
        if failure and failure.at_s > latest.finished_at_s:
            crashing = {"reason": failure.reason, "message": failure.message}
        return {"waiting": crashing}, end
    return {"terminated": end}, None


def _uid(pod: Pod) -> str:
    """The pod's uid, as messages show it."""
    return (pod.metadata.uid if pod.metadata else "") or ""


def _terminated(ended: ContainerView, runtime_name: str) -> Document:
    document: Document = {
        "exitCode": ended.exit_code,
        "reason": ended.reason or ("Completed" if ended.exit_code == 0 else "Error"),
        "containerID": f"{runtime_name}://{ended.id}",
        "startedAt": _time(ended.started_at_s) if ended.started_at_s else None,
        "finishedAt": _time(ended.finished_at_s) if ended.finished_at_s else None,
    }
    if ended.message:
        document["message"] = ended.message
    return {key: value for key, value in document.items() if value is not None}


def _conditions(
    pod: Pod,
    view: PodView,
    facts: Facts,
    phase: str,
    inits: list[Document],
    containers: list[Document],
    *,
    initialized: bool,
) -> list[Document]:
    assert pod.spec is not None
    unready = [status["name"] for status in containers if not status["ready"]]
    sidecars = {init.name for init in pod.spec.initContainers or () if states.is_sidecar(init)}
    unready = [status["name"] for status in inits if status["name"] in sidecars and not status["ready"]] + unready
    incomplete = [status["name"] for status in inits if not status["ready"]]
    if phase == "Succeeded":
        ready: tuple[bool, str, str] = (False, "PodCompleted", "")
        init = (True, "PodCompleted", "")
    else:
        # Terminated for good: say so even if the last probe had been well.
        is_ready = not unready and phase != "Failed"
        text = f"containers with unready status: [{' '.join(unready)}]"
        reason = "PodFailed" if phase == "Failed" else "ContainersNotReady"
        ready = (True, "", "") if is_ready else (False, reason, "" if phase == "Failed" else text)
        text = f"containers with incomplete status: [{' '.join(incomplete)}]"
        init = (True, "", "") if initialized else (False, "ContainersNotInitialized", text)
    gates = _unmet_gates(pod)
    pod_ready = ready
    if ready[0] and gates:
        pod_ready = (False, "ReadinessGatesNotReady", gates)
    found = {
        "PodReadyToStartContainers": (view.ready_sandbox is not None, "", ""),
        "Initialized": init,
        "Ready": pod_ready,
        "ContainersReady": ready,
        "PodScheduled": (True, "", ""),
    }
    return [_condition(pod, type_, *value, now_s=facts.now_s) for type_, value in found.items()]


def _unmet_gates(pod: Pod) -> str:
    assert pod.spec is not None
    met = {found.type for found in (pod.status and pod.status.conditions) or () if found.status == "True"}
    unmet = [gate.conditionType for gate in pod.spec.readinessGates or () if gate.conditionType not in met]
    return " ".join(f'corresponding condition of pod readiness gate "{name}" does not exist.' for name in unmet)


def _condition(pod: Pod, type_: str, is_true: bool, reason: str, message: str, *, now_s: float) -> Document:
    status = "True" if is_true else "False"
    old = next((found for found in (pod.status and pod.status.conditions) or () if found.type == type_), None)
    if old and old.status == status and old.lastTransitionTime:
        changed = _time_of(old.lastTransitionTime)
    else:
        changed = _time(now_s)
    document: Document = {
        "type": type_,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": changed,
        "observedGeneration": (pod.metadata.generation if pod.metadata else 0) or 0,
    }
    # Explicitly absent, so that a reason of the past does not stay.
    return document | {"reason": reason or None, "message": message or None}


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time_of(at: datetime | str) -> str:
    return at if isinstance(at, str) else _time(at.timestamp())


def _duration(seconds: float) -> str:
    """As Go prints it: `10s`, `1m20s`, `5m0s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
