"""A pod's status from what the runtime has of it."""

import pytest

from minik8s.node.kubelet.crash_loop import CrashLoop
from minik8s.node.kubelet.states import Facts, Failure
from minik8s.node.kubelet.status import pod_status
from minik8s.node.kubelet.view import PodView
from tests.node.kubelet.factories import ended, make_pod, running, sandbox, view

NOW_S = 100.0
LOST = (sandbox(ready=False),)
INIT = {"initContainers": [{"name": "one"}]}


def status_of(pod, seen, *, final: bool = False, **facts):
    found = Facts(now_s=NOW_S, **facts)
    return pod_status(pod, seen, found, node_ip="10.0.0.1", runtime_name="minik8s", is_final=final)


def words(status) -> str:
    """`PHASE: STATE[/LAST] per container`, then the conditions that are not true."""
    states = []
    for found in [*(status["initContainerStatuses"] or []), *status["containerStatuses"]]:
        ((kind, detail),) = found["state"].items()
        last = f"/{found['lastState']['terminated']['exitCode']}" if found["lastState"] else ""
        states.append(detail.get("reason", kind) + last + ("" if found["ready"] else "*"))
    false = [found["type"] for found in status["conditions"] if found["status"] == "False"]
    return f"{status['phase']}: {' '.join(states)}" + (f" not {' '.join(false)}" if false else "")


UNREADY = "Ready ContainersReady"


@pytest.mark.parametrize(
    ("pod", "seen", "facts", "expected"),
    [
        pytest.param(
            make_pod(), PodView("u1"), {},
            f"Pending: ContainerCreating* not PodReadyToStartContainers {UNREADY}", id="new",
        ),
        pytest.param(make_pod(), view(), {}, f"Pending: ContainerCreating* not {UNREADY}", id="has a sandbox"),
        pytest.param(make_pod(), view(running()), {}, "Running: running", id="runs"),
        pytest.param(
            make_pod(), view(running()), {"ready": {"c0": False}}, f"Running: running* not {UNREADY}", id="not ready"
        ),
        pytest.param(
            make_pod(), view(running()), {"started": {"c0": False}}, f"Running: running* not {UNREADY}", id="starts"
        ),
        pytest.param(make_pod(), view(running(attempt=1), ended(code=2)), {}, "Running: running/2", id="restarted"),
        pytest.param(make_pod(), view(ended(code=1)), {}, f"Running: Error* not {UNREADY}", id="about to be restarted"),
        pytest.param(
            make_pod(), view(ended(code=1)), {"crash_loops": {"c": CrashLoop(60.0, 60.0)}},
            f"Running: CrashLoopBackOff/1* not {UNREADY}", id="crash loop",
        ),
        pytest.param(
            make_pod(), view(), {"failures": {"c": Failure("CreateContainerError", "m", 99.0)}},
            f"Pending: CreateContainerError* not {UNREADY}", id="cannot be created",
        ),
        pytest.param(
            make_pod(restart="Never"), view(ended(), sandboxes=LOST), {},
            f"Succeeded: Completed* not PodReadyToStartContainers {UNREADY}", id="succeeded",
        ),
        pytest.param(
            make_pod(restart="Never"), view(ended(code=3)), {}, f"Failed: Error* not {UNREADY}", id="failed"
        ),
        pytest.param(
            make_pod(restart="OnFailure"), view(ended(code=3)), {}, f"Running: Error* not {UNREADY}", id="tried again"
        ),
        pytest.param(
            make_pod(restart="Never", containers=[{"name": "c"}, {"name": "d"}]), view(ended(code=3), running("d")), {},
            f"Running: Error* running not {UNREADY}", id="one failed, one runs",
        ),
        pytest.param(
            make_pod(**INIT), view(running("one")), {},
            f"Pending: running* PodInitializing* not Initialized {UNREADY}", id="init runs",
        ),
        pytest.param(make_pod(**INIT), view(running(), ended("one")), {}, "Running: Completed running", id="init done"),
        pytest.param(
            make_pod(restart="Never", **INIT), view(ended("one", code=1)), {},
            f"Failed: Error* PodInitializing* not Initialized {UNREADY}", id="init failed",
        ),
        pytest.param(
            make_pod(status={"phase": "Failed"}), view(running()), {},
            f"Failed: running not {UNREADY}", id="failed stays failed",
        ),
    ],
)  # fmt: skip
def test_what_users_see(pod, seen, facts, expected):
    assert words(status_of(pod, seen, **facts)) == expected


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (137, "Failed")])
def test_a_deleted_pod_ends_in_a_phase_that_is_final(code, phase):
    status = status_of(make_pod(deleting=True), view(ended(code=code), sandboxes=LOST), final=True)
    assert (status["phase"], status["containerStatuses"][0]["state"]["terminated"]["exitCode"]) == (phase, code)


def test_addresses_are_the_sandboxes_or_the_nodes():
    assert status_of(make_pod(), view(running()))["podIPs"] == [{"ip": "127.9.0.2"}]
    assert status_of(make_pod(), view(running(), sandboxes=(sandbox(ip=""),)))["podIP"] == "10.0.0.1"
    assert status_of(make_pod(), PodView("u1"))["podIP"] is None


def test_a_condition_that_does_not_change_keeps_its_time_and_a_changed_one_does_not():
    old = [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"},
        {"type": "ContainersReady", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"},
    ]
    conditions = {c["type"]: c for c in status_of(make_pod(status={"conditions": old}), view(running()))["conditions"]}
    assert conditions["Ready"]["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    assert conditions["ContainersReady"]["lastTransitionTime"] == "1970-01-01T00:01:40Z"


def test_a_readiness_gate_holds_the_pod_but_not_its_containers():
    gated = make_pod(readinessGates=[{"conditionType": "example.org/lb"}])
    assert words(status_of(gated, view(running()))) == "Running: running not Ready"


def test_the_crash_loops_message_tells_the_delay():
    status = status_of(make_pod(), view(ended(code=1)), crash_loops={"c": CrashLoop(80.0, 60.0)})
    message = status["containerStatuses"][0]["state"]["waiting"]["message"]
    assert message == "back-off 1m20s restarting failed container=c pod=web_default(u1)"
