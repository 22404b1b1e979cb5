"""What a node's silence means, by table."""

import msgspec
import pytest

from control.controllers.factories import NOW_S, at, node, pod
from minik8s.api.core_v1 import Taint, Toleration
from minik8s.api.taints import tolerates
from minik8s.control.controllers import nodehealth
from minik8s.control.controllers.nodeipam import allocate, cidr_fault

UNREACHABLE = "node.kubernetes.io/unreachable"
NOT_READY = "node.kubernetes.io/not-ready"


@pytest.mark.parametrize(
    ("ready", "evict", "expected"),
    [
        ("True", True, set()),
        ("False", True, {(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")}),
        ("Unknown", True, {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}),
        ("Unknown", False, {(UNREACHABLE, "NoSchedule")}),
        ("", True, {(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")}),
    ],
)
def test_taints_follow_the_ready_condition(ready, evict, expected):
    found = nodehealth.desired_taints(node(ready=ready), evict=evict, now_s=NOW_S) or []
    assert {(one["key"], one["effect"]) for one in found} == expected
    assert all(("timeAdded" in one) == (one["effect"] == "NoExecute") for one in found)


def test_taints_that_are_right_are_left_and_those_of_others_are_kept():
    mine = {"key": NOT_READY, "effect": "NoSchedule"}
    theirs = {"key": "team", "value": "a", "effect": "NoSchedule"}
    assert nodehealth.desired_taints(node(taints=[theirs]), evict=True, now_s=NOW_S) is None
    assert nodehealth.desired_taints(node(taints=[mine, theirs]), evict=True, now_s=NOW_S) == [theirs]


def test_a_cordoned_node_is_tainted():
    found = nodehealth.desired_taints(node(unschedulable=True), evict=True, now_s=NOW_S)
    assert found == [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]


def test_a_silent_node_is_unknown_once():
    silent = node(ready="True")
    assert [one["status"] for one in nodehealth.unknown_conditions(silent, NOW_S)] == ["Unknown"]
    assert nodehealth.unknown_conditions(node(ready="Unknown"), NOW_S) == []
    assert nodehealth.unknown_conditions(node(ready=""), NOW_S)[0]["reason"] == "NodeStatusNeverUpdated"


def taint(key=UNREACHABLE, effect="NoExecute", added_s=-100.0):
    return msgspec.convert({"key": key, "effect": effect, "timeAdded": at(added_s)}, Taint)


@pytest.mark.parametrize(
    ("tolerations", "taints", "expected"),
    [
        ([], [], None),
        ([], [taint()], 0),
        ([], [taint(effect="NoSchedule")], None),
        ([{"operator": "Exists"}], [taint()], None),
        ([{"key": UNREACHABLE, "operator": "Exists", "tolerationSeconds": 300}], [taint()], 200),
        ([{"key": UNREACHABLE, "operator": "Exists", "tolerationSeconds": 60}], [taint()], 0),
        ([{"key": NOT_READY, "operator": "Exists"}], [taint()], 0),
    ],
)
def test_pods_stay_as_long_as_they_tolerate(tolerations, taints, expected):
    one = pod()
    one.spec.tolerations = [msgspec.convert(each, Toleration) for each in tolerations]
    assert nodehealth.eviction_in_s(one, taints, NOW_S) == expected


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        (Toleration(key="k", value="v"), True),
        (Toleration(key="k", value="v", effect="NoSchedule"), False),
        (Toleration(key="k", operator="Exists"), True),
        (Toleration(key="k", operator="Equal", value="w"), False),
        (Toleration(operator="Exists"), True),
        (Toleration(value="v"), False),
    ],
)
def test_a_toleration_answers_a_taint_as_upstream_says(toleration, expected):
    assert tolerates(toleration, Taint(key="k", value="v", effect="NoExecute")) is expected


def test_nothing_is_evicted_when_no_node_is_ready():
    assert nodehealth.is_full_disruption([node("a", "Unknown"), node("b", "False")])
    assert not nodehealth.is_full_disruption([node("a", "Unknown"), node("b", "True")])
    assert not nodehealth.is_full_disruption([])


def test_every_node_gets_a_range_of_its_own():
    nodes = [node("a", podCIDR="10.0.1.0/24"), node("c"), node("b")]
    assert allocate("10.0.0.0/16", 24, nodes) == {"b": "10.0.0.0/24", "c": "10.0.2.0/24"}
    assert allocate("10.0.0.0/24", 24, [node("a", podCIDR="10.0.0.0/24"), node("b")]) == {}


@pytest.mark.parametrize(
    ("cidr", "mask", "good"), [("10.0.0.0/16", 24, True), ("10.0.0.0/25", 24, False), ("x", 24, False)]
)
def test_a_range_that_cannot_be_cut_is_refused(cidr, mask, good):
    assert (cidr_fault(cidr, mask) is None) is good
