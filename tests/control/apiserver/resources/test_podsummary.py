"""The words kubectl shows for pods."""

import pytest

from minik8s.control.apiserver.resources.podsummary import Summary, summarize

NOW_S = 1_000_000.0
TWO_MINUTES_AGO = "1970-01-12T13:44:40Z"


def state(name="a", ready=False, started=None, restarts=0, ended=None, **states):
    item = {"name": name, "ready": ready, "restartCount": restarts, "state": states}
    if started is not None:
        item["started"] = started
    if ended:
        item["lastState"] = {"terminated": {"exitCode": 1, "finishedAt": ended}}
    return item


def pod(statuses=(), inits=(), phase="Running", conditions=(), sidecar=False, deleted=False, **status):
    spec = {"containers": [{"name": item["name"]} for item in statuses] or [{"name": "a"}]}
    spec["initContainers"] = [{"name": item["name"]} for item in inits]
    if sidecar:
        spec["initContainers"][0]["restartPolicy"] = "Always"
    return {
        "metadata": {"name": "p"} | ({"deletionTimestamp": TWO_MINUTES_AGO} if deleted else {}),
        "spec": spec,
        "status": {
            "phase": phase,
            "containerStatuses": list(statuses),
            "initContainerStatuses": list(inits),
            "conditions": [{"type": kind, "status": "True", "reason": reason} for kind, reason in conditions],
            **status,
        },
    }


RUNNING = state(ready=True, running={})
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


@pytest.mark.parametrize(
    ("document", "ready", "word", "restarts"),
    [
        (pod(phase="Pending"), "0/1", "Pending", "0"),
        (pod([RUNNING]), "1/1", "Running", "0"),
        (
            pod([state(waiting={"reason": "CrashLoopBackOff"}, restarts=3, ended=TWO_MINUTES_AGO)]),
            "0/1",
            "CrashLoopBackOff",
            "3 (2m ago)",
        ),
        (pod([state(waiting={"reason": "ContainerCreating"})], phase="Pending"), "0/1", "ContainerCreating", "0"),
        (pod([state(terminated={"exitCode": 1, "reason": "Error"})], phase="Failed"), "0/1", "Error", "0"),
        (pod([state(terminated={"exitCode": 3})], phase="Failed"), "0/1", "ExitCode:3", "0"),
        (pod([state(terminated={"exitCode": 137, "signal": 9})], phase="Failed"), "0/1", "Signal:9", "0"),
        (pod([state(**DONE)], phase="Succeeded"), "0/1", "Completed", "0"),
        (pod([state("a", **DONE), state("b", ready=True, running={})]), "1/2", "NotReady", "0"),
        (
            pod([state("a", **DONE), state("b", ready=True, running={})], conditions=[("Ready", "")]),
            "1/2",
            "Running",
            "0",
        ),
        (pod(inits=[state("i", running={})], phase="Pending"), "0/1", "Init:0/1", "0"),
        (
            pod(inits=[state("i", **DONE), state("j", waiting={"reason": "PodInitializing"})], phase="Pending"),
            "0/1",
            "Init:1/2",
            "0",
        ),
        (
            pod(inits=[state("i", waiting={"reason": "ImagePullBackOff"}, restarts=2)], phase="Pending"),
            "0/1",
            "Init:ImagePullBackOff",
            "2",
        ),
        (
            pod(inits=[state("i", terminated={"exitCode": 1, "reason": "Error"})], phase="Pending"),
            "0/1",
            "Init:Error",
            "0",
        ),
        (pod(inits=[state("i", terminated={"exitCode": 7})], phase="Pending"), "0/1", "Init:ExitCode:7", "0"),
        (pod([RUNNING], inits=[state("i", restarts=4, **DONE)]), "1/1", "Running", "0"),
        (
            pod([RUNNING], inits=[state("i", ready=True, started=True, restarts=4, running={})], sidecar=True),
            "2/2",
            "Running",
            "4",
        ),
        (pod([RUNNING], deleted=True), "1/1", "Terminating", "0"),
        (pod([RUNNING], deleted=True, reason="NodeLost"), "1/1", "Unknown", "0"),
        (pod([state(**DONE)], phase="Succeeded", deleted=True), "0/1", "Completed", "0"),
        (pod(phase="Failed", reason="Evicted"), "0/1", "Evicted", "0"),
        (pod(phase="Pending", conditions=[("PodScheduled", "SchedulingGated")]), "0/1", "SchedulingGated", "0"),
        ({"metadata": {"name": "p"}}, "0/0", "", "0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pod_is_summed_up_in_a_word(document, ready, word, restarts):
    assert summarize(document, NOW_S) == Summary(ready, word, restarts)
