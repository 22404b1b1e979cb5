"""What to do about a pod: each row one situation and its answer."""

import pytest

from minik8s.node.kubelet.crash_loop import CrashLoop, CrashLoopPolicy, after_restart, eligible_at_s
from minik8s.node.kubelet.states import (
    Facts,
    Failure,
    KillContainer,
    Plan,
    RemoveContainer,
    RunSandbox,
    Stage,
    StartContainer,
    StopSandbox,
    decide,
)
from minik8s.node.kubelet.view import PodView
from tests.node.kubelet.factories import created, ended, make_pod, running, sandbox, view

NOW_S = 100.0
NOTHING = PodView("u1")
TWO = {"containers": [{"name": "c"}, {"name": "d"}]}
INITS = {"initContainers": [{"name": "one"}, {"name": "two"}]}
SIDECAR = {"initContainers": [{"name": "side", "restartPolicy": "Always"}]}


def told(plan: Plan) -> list[str]:
    """The actions, in few words."""
    words = []
    for action in plan.actions:
        match action:
            case RunSandbox():
                words.append(f"run sandbox {action.attempt}")
            case StopSandbox():
                words.append(f"stop sandbox {action.id}")
            case StartContainer():
                words.append(f"start {action.name} {action.attempt}")
            case KillContainer():
                words.append(f"kill {action.id}")
            case RemoveContainer():
                words.append(f"remove {action.id}")
    return words


@pytest.mark.parametrize(
    ("pod", "seen", "stage", "expected"),
    [
        pytest.param(make_pod(), NOTHING, Stage.STARTING, ["run sandbox 0"], id="new"),
        pytest.param(make_pod(), view(), Stage.RUNNING, ["start c 0"], id="has a sandbox"),
        pytest.param(make_pod(**TWO), view(), Stage.RUNNING, ["start c 0", "start d 0"], id="all containers"),
        pytest.param(make_pod(), view(running()), Stage.RUNNING, [], id="runs"),
        pytest.param(make_pod(), view(created()), Stage.RUNNING, ["remove c0"], id="made but not started"),
        pytest.param(make_pod(), view(ended()), Stage.RUNNING, ["start c 1"], id="Always restarts"),
        pytest.param(make_pod(restart="OnFailure"), view(ended(code=1)), Stage.RUNNING, ["start c 1"], id="retry"),
        pytest.param(make_pod(restart="OnFailure"), view(ended()), Stage.ENDED, ["stop sandbox s0"], id="done"),
        pytest.param(make_pod(restart="Never"), view(ended(code=1)), Stage.ENDED, ["stop sandbox s0"], id="Never"),
        pytest.param(
            make_pod(restart="Never", **TWO), view(ended(), running("d")), Stage.RUNNING, [], id="Never, one still runs"
        ),
        pytest.param(
            make_pod(restart="Never"), view(ended(), sandboxes=(sandbox(ready=False),)), Stage.ENDED, [], id="released"
        ),
        pytest.param(
            make_pod(status={"phase": "Failed"}), view(running()), Stage.ENDED, ["kill c0"], id="failed stays failed"
        ),
        pytest.param(
            make_pod(), view(running(), sandboxes=(sandbox(ready=False),)), Stage.STARTING, ["kill c0"],
            id="sandbox lost, container left",
        ),
        pytest.param(
            make_pod(), view(ended(), sandboxes=(sandbox(ready=False),)), Stage.STARTING, ["run sandbox 1"],
            id="sandbox lost",
        ),
        pytest.param(
            make_pod(), view(ended(), sandboxes=(sandbox(1), sandbox(ready=False))), Stage.RUNNING, ["start c 1"],
            id="again in the new sandbox",
        ),
        pytest.param(
            make_pod(), view(running(attempt=3), ended(attempt=2), ended(attempt=1), ended()), Stage.RUNNING,
            ["remove c1", "remove c0"], id="old attempts go",
        ),
        # Init containers.
        pytest.param(make_pod(**INITS), view(), Stage.INITIALIZING, ["start one 0"], id="first init"),
        pytest.param(make_pod(**INITS), view(running("one")), Stage.INITIALIZING, [], id="first init runs"),
        pytest.param(make_pod(**INITS), view(ended("one")), Stage.INITIALIZING, ["start two 0"], id="second init"),
        pytest.param(make_pod(**INITS), view(ended("one", code=1)), Stage.INITIALIZING, ["start one 1"], id="again"),
        pytest.param(
            make_pod(restart="Never", **INITS), view(ended("one", code=1)), Stage.ENDED, ["stop sandbox s0"],
            id="init failed for good",
        ),
        pytest.param(
            make_pod(**INITS), view(ended("two"), ended("one")), Stage.RUNNING, ["start c 0"], id="inits are done"
        ),
        pytest.param(
            make_pod(**INITS), view(ended("two"), ended("one"), sandboxes=(sandbox(1), sandbox(ready=False))),
            Stage.INITIALIZING, ["start one 1"], id="inits again in a new sandbox",
        ),
        pytest.param(make_pod(**SIDECAR), view(), Stage.INITIALIZING, ["start side 0"], id="sidecar first"),
        pytest.param(make_pod(**SIDECAR), view(running("side")), Stage.RUNNING, ["start c 0"], id="sidecar runs"),
        pytest.param(
            make_pod(**SIDECAR), view(running(), ended("side")), Stage.RUNNING, ["start side 1"], id="sidecar ended"
        ),
        # Deletion.
        pytest.param(make_pod(deleting=True), view(running()), Stage.STOPPING, ["kill c0"], id="deleted"),
        pytest.param(make_pod(deleting=True), view(ended()), Stage.STOPPING, ["stop sandbox s0"], id="all ended"),
        pytest.param(
            make_pod(deleting=True, **SIDECAR), view(running(), running("side")), Stage.STOPPING, ["kill c0"],
            id="sidecars end last",
        ),
        pytest.param(
            make_pod(deleting=True, **SIDECAR), view(ended(), running("side")), Stage.STOPPING, ["kill side0"],
            id="then sidecars",
        ),
        pytest.param(None, view(running()), Stage.STOPPING, ["kill c0"], id="gone from the API"),
    ],
)  # fmt: skip
def test_what_to_do(pod, seen, stage, expected):
    plan = decide(pod, seen, Facts(now_s=NOW_S))
    assert (plan.stage, told(plan), plan.is_finished) == (stage, expected, False)


@pytest.mark.parametrize("seen", [NOTHING, view(ended(), sandboxes=(sandbox(ready=False),))])
@pytest.mark.parametrize("pod", [make_pod(deleting=True), None])
def test_a_stopping_pod_is_finished_when_nothing_of_it_runs(pod, seen):
    assert decide(pod, seen, Facts(now_s=NOW_S)) == Plan(Stage.STOPPING, is_finished=True)


def test_an_unhealthy_container_is_killed():
    plan = decide(make_pod(), view(running()), Facts(now_s=NOW_S, unhealthy={"c0": "why"}))
    assert plan.actions == (KillContainer("c0", "c", "why"),)


def test_a_sidecar_must_have_started_before_the_containers_do():
    plan = decide(make_pod(**SIDECAR), view(running("side")), Facts(now_s=NOW_S, started={"side0": False}))
    assert (plan.stage, plan.actions) == (Stage.INITIALIZING, ())


def test_a_crashing_container_waits_for_its_delay():
    facts = Facts(now_s=NOW_S, crash_loops={"c": CrashLoop(20.0, 60.0)})
    assert decide(make_pod(), view(ended(at_s=90.0)), facts) == Plan(Stage.RUNNING, wake_at_s=110.0)
    assert told(decide(make_pod(), view(ended(at_s=80.0)), facts)) == ["start c 1"]


@pytest.mark.parametrize(("name", "seen"), [("c", view()), ("", NOTHING)])
def test_what_could_not_be_started_is_tried_again_later(name, seen):
    failures = {name: Failure("CreateContainerError", "why", 95.0)}
    assert decide(make_pod(), seen, Facts(now_s=NOW_S, failures=failures)).wake_at_s == 105.0
    assert decide(make_pod(), seen, Facts(now_s=106.0, failures=failures)).actions


def test_delays_double_up_to_the_longest_and_start_over_after_a_long_run():
    policy = CrashLoopPolicy(first_s=10, max_s=300)
    loop, now_s, delays = None, 0.0, []
    for _ in range(8):
        restart_s = eligible_at_s(loop, now_s, policy)
        delays.append(restart_s - now_s)
        loop = after_restart(loop, now_s, restart_s, policy)
        now_s = restart_s + 1
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]
    assert eligible_at_s(loop, now_s + 601, policy) == now_s + 601
