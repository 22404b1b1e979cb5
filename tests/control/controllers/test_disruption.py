"""Disruption budgets: what they come to."""

import msgspec
import pytest

from control.controllers.factories import NOW_S, at, pod
from minik8s.api.policy_v1 import PodDisruptionBudget
from minik8s.control.controllers.disruption import NoScale, measure


def budget(disrupted=None, **spec):
    return msgspec.convert(
        {
            "metadata": {"name": "b", "namespace": "d"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}} | spec,
            "status": {
                "currentHealthy": 0,
                "desiredHealthy": 0,
                "disruptionsAllowed": 0,
                "expectedPods": 0,
                "disruptedPods": disrupted or {},
            },
        },
        PodDisruptionBudget,
    )


def pods(ready, unready=0, owner="web"):
    return [pod(f"r{number}", owner=owner) for number in range(ready)] + [
        pod(f"u{number}", ready=False, owner=owner) for number in range(unready)
    ]


def scale(sizes):
    return lambda owner, namespace: (owner.uid, sizes[owner.uid]) if owner.uid in sizes else None


@pytest.mark.parametrize(
    ("spec", "found", "sizes", "expected", "desired", "healthy", "allowed"),
    [
        ({"minAvailable": 2}, pods(3), {}, 3, 2, 3, 1),
        ({"minAvailable": 2}, pods(1, 2), {}, 3, 2, 1, 0),
        ({"minAvailable": 2}, [], {}, 0, 2, 0, 0),
        ({"minAvailable": "50%"}, pods(3), {"web": 5}, 5, 3, 3, 0),
        ({"maxUnavailable": 1}, pods(3), {"web": 3}, 3, 2, 3, 1),
        ({"maxUnavailable": "34%"}, pods(3), {"web": 3}, 3, 1, 3, 2),
        ({"maxUnavailable": 5}, pods(3), {"web": 3}, 3, 0, 3, 3),
        # Sets of several sizes add up; pods of nobody are not expected by anybody.
        ({"maxUnavailable": 1}, pods(2) + pods(1, owner="b") + pods(1, owner=""), {"web": 2, "b": 4}, 6, 5, 4, 0),
        ({}, pods(2), {}, 2, 0, 2, 2),
    ],
)
def test_what_a_budget_comes_to(spec, found, sizes, expected, desired, healthy, allowed):
    named = [
        msgspec.structs.replace(one, metadata=msgspec.structs.replace(one.metadata, name=f"p{number}"))
        for number, one in enumerate(found)
    ]
    result = measure(budget(**spec), named, scale(sizes), now_s=NOW_S)
    assert (result.expected, result.desired, result.healthy, result.allowed) == (expected, desired, healthy, allowed)


def test_a_share_of_what_has_no_size_is_not_known():
    with pytest.raises(NoScale, match='found no controllers for pod "r0"'):
        measure(budget(maxUnavailable=1), pods(1), scale({}), now_s=NOW_S)


def test_a_pod_that_is_about_to_go_is_not_healthy_until_it_turns_out_to_stay():
    given = budget({"r0": at(-60), "r1": at(-130), "gone": at(-1)}, minAvailable=1)
    found = measure(given, pods(3), scale({}), now_s=NOW_S)
    assert (found.healthy, found.allowed, set(found.disrupted), found.again_s) == (2, 1, {"r0"}, 60)


def test_a_pod_that_goes_is_not_healthy():
    leaving = [*pods(2), pod("l", owner="web", deletionTimestamp=at(30))]
    assert measure(budget(minAvailable=1), leaving, scale({}), now_s=NOW_S).healthy == 2
