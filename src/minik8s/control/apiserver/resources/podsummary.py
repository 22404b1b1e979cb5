"""What a table says of a pod: ready containers, one word for its state, restarts (as kube-apiserver's printPod)."""

from collections.abc import Iterable
from dataclasses import dataclass

from minik8s.control.apiserver.duration import since
from minik8s.control.apiserver.resource import Document


@dataclass(frozen=True, slots=True)
class Summary:
    """Three cells of a pod's row."""

    ready: str
    word: str
    restarts: str


def summarize(pod: Document, now_s: float) -> Summary:
    """The summary of a pod, whatever part of its status is there."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    sidecars = {item["name"] for item in spec.get("initContainers", ()) if item.get("restartPolicy") == "Always"}
    inits = status.get("initContainerStatuses", ())
    word, ready, initializing = _init_word(inits, sidecars, total=len(spec.get("initContainers", ())))
    counted: list[Document] = list(inits)
    if not initializing or _is_true(status, "Initialized"):
        statuses = status.get("containerStatuses", ())
        word = _running_word(statuses, word, is_ready=_is_true(status, "Ready"))
        ready += sum(_runs_ready(item) for item in statuses)
        counted = [item for item in inits if item["name"] in sidecars] + list(statuses)
    return Summary(
        ready=f"{ready}/{len(spec.get('containers', ())) + len(sidecars)}",
        word=_deletion_word(pod) or word or _phase_word(status),
        restarts=_restarts(counted, now_s),
    )


def _phase_word(status: Document) -> str:
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            return "SchedulingGated"
    return status.get("reason") or status.get("phase", "")


def _init_word(statuses: Iterable[Document], sidecars: set[str], *, total: int) -> tuple[str, int, bool]:
    """(word of the init container that is not done, or "", ready sidecars, whether one is not done)."""
    ready = 0
    for index, item in enumerate(statuses):
        state = item.get("state", {})
        terminated = state.get("terminated")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if item["name"] in sidecars and item.get("started"):
            ready += bool(item.get("ready"))
            continue
        waiting = state.get("waiting", {}).get("reason", "")
        if terminated is not None:
            return f"Init:{_end(terminated)}", ready, True
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}", ready, True
        return f"Init:{index}/{total}", ready, True
    return "", ready, False


def _running_word(statuses: Iterable[Document], word: str, *, is_ready: bool) -> str:
    """The word of the first container that waits or has ended; "" if all run."""
    for item in reversed(list(statuses)):
        state = item.get("state", {})
        if reason := state.get("waiting", {}).get("reason"):
            word = reason
        elif (terminated := state.get("terminated")) is not None:
            word = _end(terminated)
    if word == "Completed" and any(map(_runs_ready, statuses)):
        return "Running" if is_ready else "NotReady"
    return word


def _deletion_word(pod: Document) -> str:
    if not pod["metadata"].get("deletionTimestamp"):
        return ""
    status = pod.get("status", {})
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return "" if status.get("phase") in ("Succeeded", "Failed") else "Terminating"


def _end(terminated: Document) -> str:
    if reason := terminated.get("reason"):
        return reason
    if signal := terminated.get("signal"):
        return f"Signal:{signal}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _runs_ready(item: Document) -> bool:
    return bool(item.get("ready")) and "running" in item.get("state", {})


def _is_true(status: Document, kind: str) -> bool:
    return any(item["type"] == kind and item["status"] == "True" for item in status.get("conditions", ()))


def _restarts(statuses: Iterable[Document], now_s: float) -> str:
    count, ends = 0, []
    for item in statuses:
        count += item.get("restartCount", 0)
        if finished := item.get("lastState", {}).get("terminated", {}).get("finishedAt"):
            ends.append(finished)
    return f"{count} ({since(max(ends), now_s)} ago)" if count and ends else str(count)
