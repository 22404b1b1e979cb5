"""The arithmetic of rolling updates: upstream's examples by table, and its bounds by a walk through random states."""

import random

import pytest

from control.controllers.factories import deployment, replicaset, rolling
from minik8s.control.controllers import rollout


def bounds(replicas, surge=1, unavailable=0):
    return rollout.bounds_of(deployment(replicas, strategy=rolling(surge, unavailable)))


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "maximum", "minimum"),
    [
        (10, "25%", "25%", 13, 8),
        (3, "25%", "25%", 4, 3),
        (1, "25%", "25%", 2, 1),
        (4, 0, 0, 4, 3),
        (4, 0, "10%", 4, 3),
        (4, 2, 9, 6, 0),
        (0, 1, 0, 0, 0),
    ],
)
def test_percentages_round_surge_up_and_unavailable_down(replicas, surge, unavailable, maximum, minimum):
    found = bounds(replicas, surge, unavailable)
    assert (found.maximum, found.minimum) == (maximum, minimum)


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (replicaset("new", 0), [replicaset("old", 3)], {"new": 1}),
        (replicaset("new", 1), [replicaset("old", 3)], {}),
        (replicaset("new", 1), [replicaset("old", 2)], {"new": 2}),
        (replicaset("new", 1), [replicaset("old", 2, existing=3)], {}),
        (replicaset("new", 1), [replicaset("old", 2, settled=False)], {}),
        (replicaset("new", 3), [replicaset("old", 0)], {}),
        (replicaset("new", 5), [], {"new": 3}),
    ],
    ids=["begins", "full", "goes on", "old pod still there", "old not settled", "done", "too large"],
)
def test_the_new_one_grows_as_far_as_there_is_room(new, old, expected):
    assert rollout.scale_up(bounds(3), new, old) == expected


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (replicaset("new", 1, available=1), [replicaset("old", 3)], {"old": 2}),
        (replicaset("new", 1, available=0), [replicaset("old", 3)], {}),
        (replicaset("new", 1, available=0), [replicaset("old", 3, available=2)], {}),
        (replicaset("new", 3, available=3), [replicaset("old", 1)], {"old": 0}),
        (replicaset("new", 1, available=1), [replicaset("a", 2, age=1), replicaset("b", 1, age=2)], {"a": 1}),
        (replicaset("new", 1, available=1), [replicaset("a", 2, available=1), replicaset("b", 1, age=2)], {"a": 1}),
    ],
    ids=["one spare", "new not ready", "nothing spare", "the last", "oldest first", "unhealthy first"],
)
def test_old_ones_give_up_what_is_spare(new, old, expected):
    assert rollout.scale_down(bounds(3), new, old) == expected


def test_unhealthy_old_pods_go_although_the_new_ones_are_not_ready():
    new, old = replicaset("new", 2, available=0), replicaset("old", 8, available=4)
    assert rollout.scale_down(bounds(8, surge=2, unavailable=2), new, [old]) == {"old": 6}


def test_a_change_of_size_in_the_middle_of_a_rollout_is_shared_in_proportion():
    annotations = {"deployment.kubernetes.io/desired-replicas": "10", "deployment.kubernetes.io/max-replicas": "13"}
    new = replicaset("new", 5, available=0, annotations=annotations)
    old = replicaset("old", 8, annotations=annotations)
    wanted = rollout.bounds_of(deployment(20, strategy=rolling(3, 2)))
    assert rollout.is_resized(wanted, [new, old])
    sizes = rollout.resize(wanted, new, [old], rolling=True)
    assert sizes == {"new": 9, "old": 14}
    assert sum(sizes.values()) == wanted.maximum


@pytest.mark.parametrize("seed", range(30))
def test_no_step_breaks_a_bound_and_every_walk_arrives(seed):
    """Pods start, become ready and go at random; each step is planned on statuses that may be old."""
    rng = random.Random(seed)
    replicas = rng.randint(1, 9)
    found = bounds(replicas, rng.choice([0, 1, 3, "25%", "100%"]), rng.choice([0, 1, 2, "25%"]))
    # name → [size, pods, available]; and what statuses say.
    true = {"old": [replicas, replicas, replicas], "new": [0, 0, 0]}
    said = {name: (*state, True) for name, state in true.items()}
    for _ in range(2000):
        name = rng.choice(list(true))
        state = true[name]
        match rng.randrange(4):
            case 0 if state[1] < state[0]:
                state[1] += 1
            case 1 if state[1] > state[0]:
                state[1] -= 1
                state[2] = min(state[2], state[1])
            case 2 if state[2] < state[1]:
                state[2] += 1
            case 3:
                said[name] = (*state, True)
        new, old = (
            replicaset(one, true[one][0], existing=said[one][1], available=said[one][2], settled=said[one][3])
            for one in ("new", "old")
        )
        steps = rollout.scale_up(found, new, [old]) or rollout.scale_down(found, new, [old])
        for one, size in steps.items():
            true[one][0] = size
            said[one] = (size, said[one][1], said[one][2], False)
        assert sum(state[1] for state in true.values()) <= found.maximum
        assert sum(min(state[2], state[1]) for state in true.values()) >= found.minimum
    assert true == {"old": [0, 0, 0], "new": [replicas] * 3}
