"""What a ReplicaSet decides, by table."""

import pytest

from control.controllers.factories import NOW_S, at, pod, replicaset
from minik8s.control.controllers.pods import victims
from minik8s.control.controllers.replicaset import plan


def decide(pods, replicas=3, **fields):
    return plan(replicaset(replicas=replicas, **fields), pods, related=pods, now_s=NOW_S)


def mine(count, **fields):
    return [pod(f"p{number}", owner="web", **fields) for number in range(count)]


@pytest.mark.parametrize(
    ("pods", "create", "delete"),
    [
        ([], 3, 0),
        (mine(3), 0, 0),
        (mine(2), 1, 0),
        (mine(5), 0, 2),
        (mine(3, phase="Failed"), 3, 0),
        (mine(3, deletionTimestamp=at(0)), 3, 0),
        ([pod(f"x{n}", owner="other") for n in range(3)], 3, 0),
        ([*mine(2), pod("x", labels={"app": "api"})], 1, 0),
    ],
    ids=["none", "enough", "too few", "too many", "finished", "terminating", "another's", "no match"],
)
def test_pods_are_counted_as_upstream_counts_them(pods, create, delete):
    decided = decide(pods)
    assert (decided.create, len(decided.delete)) == (create, delete)


def test_a_matching_orphan_is_adopted_before_anything_else():
    decided = decide([pod("orphan"), *mine(1)])
    assert [one.metadata.name for one in decided.adopt] == ["orphan"]
    assert (decided.create, tuple(decided.delete)) == (0, ())


def test_a_pod_that_matches_no_longer_is_released_and_replaced():
    decided = decide([*mine(2), pod("lost", owner="web", labels={"app": "debug"})])
    assert [one.metadata.name for one in decided.release] == ["lost"]
    assert decided.create == 1


def test_a_replicaset_that_is_deleted_neither_creates_nor_adopts():
    decided = decide([pod("orphan"), *mine(1)], deletionTimestamp=at(0))
    assert (decided.create, list(decided.adopt), list(decided.delete)) == (0, [], [])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pod("a", node=""), pod("b")),
        (pod("a", phase="Pending"), pod("b")),
        (pod("a", ready=False), pod("b")),
        (pod("a", annotations={"controller.kubernetes.io/pod-deletion-cost": "-5"}), pod("b")),
        (pod("a", ready_s=-2), pod("b", ready_s=-100)),
        (pod("a", creationTimestamp=at(-2)), pod("b", creationTimestamp=at(-100))),
    ],
    ids=["unassigned", "pending", "not ready", "cheaper", "ready for less long", "younger"],
)
def test_victims_are_ranked_as_upstream_ranks_them(first, second):
    pods = [first, second]
    assert victims(pods, 1, related=pods, now_s=NOW_S) == [first]
    assert victims(pods[::-1], 1, related=pods, now_s=NOW_S) == [first]


def test_the_fuller_node_gives_up_a_pod_first():
    pods = [pod("a", node="n1"), pod("b", node="n2"), pod("c", node="n2")]
    assert victims(pods, 1, related=pods, now_s=NOW_S)[0].spec.nodeName == "n2"


def test_status_counts_and_availability_waits_for_min_ready_seconds():
    asked = replicaset(replicas=3)
    asked.spec.minReadySeconds = 30
    pods = [pod("a", owner="web", ready_s=-60), pod("b", owner="web", ready_s=-10), pod("c", owner="web", ready=False)]
    decided = plan(asked, pods, related=pods, now_s=NOW_S)
    assert decided.status == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "observedGeneration": 2,
    }
    assert decided.again_s == 20


def test_a_pod_whose_deletion_is_in_doubt_is_the_first_to_go_and_only_if_one_must():
    pods = [pod("young", owner="web", ready_s=-5), pod("doubtful", owner="web"), pod("c", owner="web")]
    asked = replicaset(replicas=2)
    decided = plan(asked, pods, related=pods, condemned={"doubtful"}, now_s=NOW_S)
    assert [one.metadata.name for one in decided.delete] == ["doubtful"]
    asked.spec.replicas = 3
    assert not plan(asked, pods, related=pods, condemned={"doubtful"}, now_s=NOW_S).delete
