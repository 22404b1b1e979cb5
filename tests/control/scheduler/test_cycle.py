"""One scheduling cycle: plugins and messages by table."""

import random

import msgspec
import pytest

from minik8s.api.core_v1 import Node, Pod
from minik8s.control.scheduler import cycle
from minik8s.control.scheduler.plugins import FILTERS, SCORES, wakes
from minik8s.control.scheduler.podinfo import pod_info, requests_of
from minik8s.control.scheduler.snapshot import snapshot_of

GIB = 1024**3


def node(name="n1", cpu="4", memory="8Gi", pods="110", *, labels=None, **spec):
    resources = {"cpu": cpu, "memory": memory, "pods": pods}
    document = {"metadata": {"name": name, "labels": labels or {}}, "spec": spec, "status": {"allocatable": resources}}
    return msgspec.convert(document, Node)


def pod(name="p", cpu=None, memory=None, *, on="", port=0, phase="Pending", containers=None, **spec):
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container = {"name": "c", "resources": {"requests": requests}}
    if port:
        container["ports"] = [{"containerPort": port, "hostPort": port}]
    spec = {"containers": containers or [container]} | ({"nodeName": on} if on else {}) | spec
    meta = {"name": name, "namespace": "d", "uid": name}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": {"phase": phase}}, Pod)


def decide(asked, nodes, running=(), seed=1):
    snapshot = snapshot_of(nodes, running)
    return cycle.schedule(pod_info(asked), snapshot.nodes(), filters=FILTERS, scores=SCORES, rng=random.Random(seed))


TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]
        }
    }
}


@pytest.mark.parametrize(
    ("asked", "nodes", "running", "message"),
    [
        (pod(), [], [], "no nodes available to schedule pods"),
        (pod(cpu="5"), [node("a"), node("b")], [], "0/2 nodes are available: 2 Insufficient cpu."),
        (
            pod(cpu="5", memory="9Gi"),
            [node("a"), node("b", cpu="8")],
            [],
            "0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.",
        ),
        (pod(cpu="1"), [node()], [pod("x", cpu="3500m", on="n1")], "0/1 nodes are available: 1 Insufficient cpu."),
        (pod(), [node(pods="1")], [pod("x", on="n1")], "0/1 nodes are available: 1 Too many pods."),
        (pod(), [node(unschedulable=True)], [], "0/1 nodes are available: 1 node(s) were unschedulable."),
        (
            pod(),
            [node(taints=[TAINT]), node("b", unschedulable=True)],
            [],
            "0/2 nodes are available: 1 node(s) had untolerated taint(s) {k: v}, 1 node(s) were unschedulable.",
        ),
        (
            pod(nodeSelector={"disk": "ssd"}),
            [node()],
            [],
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            pod(affinity=AFFINITY),
            [node(labels={"disk": "hdd"})],
            [],
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            pod(port=80),
            [node()],
            [pod("x", port=80, on="n1")],
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
        ),
    ],
)
def test_a_pod_without_a_node_is_told_why_as_upstream_words_it(asked, nodes, running, message):
    decision = decide(asked, nodes, running)
    assert (decision.node, decision.message()) == ("", message)


@pytest.mark.parametrize(
    ("asked", "nodes", "running", "expected"),
    [
        (pod(cpu="1"), [node("a"), node("b")], [pod("x", cpu="2", on="a")], "b"),
        (pod(), [node("a"), node("b")], [pod("x", on="a")], "b"),
        (pod(cpu="1"), [node("a"), node("b")], [pod("x", cpu="4", on="a", phase="Succeeded"), pod("y", on="b")], "a"),
        (pod(tolerations=[{"operator": "Exists"}]), [node("a", taints=[TAINT])], [], "a"),
        (pod(affinity=AFFINITY), [node("a"), node("b", labels={"disk": "ssd"})], [], "b"),
        (pod(cpu="1"), [node("a", cpu="2"), node("b", cpu="16")], [], "b"),
    ],
    ids=["room", "no requests still weigh", "finished pods free theirs", "tolerated", "affinity", "larger"],
)
def test_the_best_of_the_nodes_that_are_left_is_taken(asked, nodes, running, expected):
    assert {decide(asked, nodes, running, seed).node for seed in range(5)} == {expected}


def test_equal_nodes_are_taken_in_turn_by_chance():
    assert {decide(pod(), [node("a"), node("b")], seed=seed).node for seed in range(20)} == {"a", "b"}


def container(cpu, restart=None):
    return {"name": f"c{cpu}", "resources": {"requests": {"cpu": cpu}}} | (
        {"restartPolicy": restart} if restart else {}
    )


@pytest.mark.parametrize(
    ("containers", "init", "expected"),
    [
        (["1", "500m"], [], 1500),
        (["1"], [container("3")], 3000),
        (["1"], [container("200m", "Always"), container("2")], 2200),
        (["1"], [container("200m", "Always"), container("300m")], 1200),
    ],
    ids=["sum", "large init", "init beside a sidecar", "sidecar stays"],
)
def test_requests_are_what_the_pod_needs_at_its_worst_moment(containers, init, expected):
    asked = pod(containers=[container(cpu) for cpu in containers], initContainers=init)
    assert requests_of(asked)["cpu"] == expected


def test_an_assumed_pod_counts_until_it_is_seen_or_given_up():
    snapshot = snapshot_of([node(cpu="2")])
    info = pod_info(pod("a", cpu="1"))
    [found] = snapshot.nodes()
    snapshot.assume(info, "n1")
    assert found.requested["cpu"] == 1000 and snapshot.is_placed("a")
    snapshot.set_pod(pod("a", cpu="1", on="n1"))
    snapshot.unassume("a")
    assert found.requested["cpu"] == 1000, "seen bound: no assumption any more"
    snapshot.delete_pod("a")
    assert found.requested["cpu"] == 0
    snapshot.assume(info, "n1")
    snapshot.unassume("a")
    assert found.requested["cpu"] == 0 and not snapshot.is_placed("a")


def test_sums_are_right_after_any_sequence_of_events():
    rng = random.Random(7)
    snapshot = snapshot_of([node("a"), node("b")])
    truth = {}
    for _ in range(500):
        name = f"p{rng.randrange(8)}"
        match rng.randrange(4):
            case 0 | 1:
                place = truth.get(name, (rng.choice("ab"), 0))[0]
                truth[name] = (place, rng.randint(1, 4))
                snapshot.set_pod(pod(name, cpu=str(truth[name][1]), on=place))
            case 2:
                truth.pop(name, None)
                snapshot.delete_pod(name)
            case 3 if name in truth:
                del truth[name]
                snapshot.set_pod(pod(name, on="a", phase="Failed"))
        for info in snapshot.nodes():
            assert info.requested.get("cpu", 0) == 1000 * sum(
                cpu for place, cpu in truth.values() if place == info.name
            )


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (node(), set()),
        (node(cpu="8"), {"NodeResourcesFit"}),
        (node(labels={"disk": "ssd"}), {"NodeAffinity"}),
        (node(unschedulable=True), {"NodeUnschedulable"}),
        (node(taints=[TAINT]), {"TaintToleration", "NodeUnschedulable"}),
    ],
)
def test_only_changes_that_matter_wake_pods(new, expected):
    assert wakes(node(), new) == expected
