"""Strategic merge patches of real kinds: lists by key, sets, directives, order of elements."""

import copy

import pytest
from lightkube.models.apps_v1 import Deployment
from lightkube.models.core_v1 import Node, Pod, Service
from lightkube.models.policy_v1 import PodDisruptionBudget

from minik8s.control.apiserver import strategic


def pod(*containers, **spec):
    return {"spec": {"containers": list(containers), **spec}}


def container(name, **fields):
    return {"name": name, **fields}


A, B, C = container("a", image="1"), container("b", image="1"), container("c", image="1")

POD_PATCHES = {
    "an element is found by its key": (pod(A, B), pod(container("b", image="2")), pod(A, container("b", image="2"))),
    "a new element comes first, as upstream": (pod(A), pod(B), pod(B, A)),
    "an element is deleted by its key": (pod(A, B), pod({"name": "a", "$patch": "delete"}), pod(B)),
    "deleting an element that is not there is nothing": (pod(A), pod({"name": "x", "$patch": "delete"}), pod(A)),
    "a list is replaced": (pod(A, B), pod({"$patch": "replace"}, C), pod(C)),
    "a map is replaced": (
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"$patch": "replace", "b": "2"}}},
        {"metadata": {"labels": {"b": "2"}}},
    ),
    "a map is emptied": (
        {"metadata": {"labels": {"a": "1"}}, "spec": {}},
        {"metadata": {"labels": {"$patch": "delete"}}},
        {"metadata": {"labels": {}}, "spec": {}},
    ),
    "a list is emptied": (pod(A, B), pod({"$patch": "replace"}), pod()),
    "an element that says replace is none of the list": (pod(A), pod({"$patch": "replace", "name": "x"}, B), pod(B)),
    "elements are deleted and changed at once": (
        pod(A, B, C),
        pod({"name": "a", "$patch": "delete"}, container("c", image="2")),
        pod(B, container("c", image="2")),
    ),
    "an element is changed within": (
        pod(container("a", env=[{"name": "x", "value": "1"}, {"name": "y", "value": "1"}])),
        pod(container("a", env=[{"name": "x", "$patch": "delete"}, {"name": "y", "value": "2"}])),
        pod(container("a", env=[{"name": "y", "value": "2"}])),
    ),
    "null deletes a key of an element": (
        pod(container("a", image="1", tty=True)),
        pod(container("a", tty=None)),
        pod(container("a", image="1")),
    ),
    "a set loses and gains at once, in the order that is set": (
        {"metadata": {"finalizers": ["a", "b"]}},
        {
            "metadata": {
                "$setElementOrder/finalizers": ["c", "b"],
                "$deleteFromPrimitiveList/finalizers": ["a"],
                "finalizers": ["c"],
            }
        },
        {"metadata": {"finalizers": ["c", "b"]}},
    ),
    "a list that is atomic takes the patch as it is": (
        pod(A, tolerations=[{"key": "a"}]),
        {"spec": {"tolerations": [{"key": "b"}]}},
        pod(A, tolerations=[{"key": "b"}]),
    ),
    "new objects lose their directives": (
        {"spec": {}},
        {"spec": {"securityContext": {"$patch": "replace", "runAsUser": 1, "sysctls": None}}},
        {"spec": {"securityContext": {"runAsUser": 1}}},
    ),
    "null deletes a key": (
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"a": None}}},
        {"metadata": {"labels": {}}},
    ),
    "null of what is not there is nothing": (
        {"metadata": {}},
        {"metadata": {"labels": {"a": None}}},
        {"metadata": {"labels": {}}},
    ),
    "a list without a strategy is replaced": (
        pod(container("a", args=["x", "y"])),
        pod(container("a", args=["z"])),
        pod(container("a", args=["z"])),
    ),
    "ports merge by containerPort": (
        pod(container("a", ports=[{"containerPort": 80, "protocol": "TCP"}])),
        pod(container("a", ports=[{"containerPort": 80, "name": "http"}])),
        pod(container("a", ports=[{"containerPort": 80, "protocol": "TCP", "name": "http"}])),
    ),
    "finalizers are a set": (
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"finalizers": ["b", "c"]}},
        {"metadata": {"finalizers": ["a", "b", "c"]}},
    ),
    "a set loses elements": (
        {"metadata": {"finalizers": ["a", "b", "c"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "c"]}},
        {"metadata": {"finalizers": ["b"]}},
    ),
    "the order that is set holds": (
        pod(A, B, C),
        {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}]}},
        pod(C, A, B),
    ),
    "what the client does not know stays where it is": (
        pod(A, container("sidecar"), B),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
                "containers": [container("b", image="2")],
            }
        },
        pod(A, container("sidecar"), container("b", image="2")),
    ),
    "env merges by name in a new container without directives": (
        pod(A),
        pod(container("b", env=[{"name": "x", "value": "1"}], **{"$setElementOrder/env": [{"name": "x"}]})),
        pod(container("b", env=[{"name": "x", "value": "1"}]), A),
    ),
    "retained keys drop the others": (
        pod(A, volumes=[{"name": "v", "emptyDir": {}}]),
        {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}},
        pod(A, volumes=[{"name": "v", "hostPath": {"path": "/x"}}]),
    ),
}


@pytest.mark.parametrize(("live", "patch", "result"), POD_PATCHES.values(), ids=POD_PATCHES)
def test_a_pod_is_patched(live, patch, result):
    assert strategic.merge(copy.deepcopy(live), copy.deepcopy(patch), Pod) == result


def test_a_strategy_of_a_deployment_loses_what_is_not_retained():
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic.merge(live, patch, Deployment) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_the_selector_of_a_budget_is_replaced():
    live = {"spec": {"selector": {"matchLabels": {"a": "1"}}, "minAvailable": 1}}
    patch = {"spec": {"selector": {"matchLabels": {"b": "1"}}}}
    merged = strategic.merge(live, patch, PodDisruptionBudget)
    assert merged == {"spec": {"selector": {"matchLabels": {"b": "1"}}, "minAvailable": 1}}


def test_lists_below_a_template_merge_too():
    live = {"spec": {"template": pod(A, B)}}
    patch = {"spec": {"template": pod(container("a", image="2"))}}
    assert strategic.merge(live, patch, Deployment) == {"spec": {"template": pod(container("a", image="2"), B)}}


def test_conditions_merge_by_type():
    live = {"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Other", "status": "True"}]}}
    patch = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    merged = strategic.merge(live, patch, Node)
    assert {each["type"]: each["status"] for each in merged["status"]["conditions"]} == {
        "Ready": "True",
        "Other": "True",
    }


def test_service_ports_merge_by_port():
    live = {"spec": {"ports": [{"port": 80, "nodePort": 30001}]}}
    merged = strategic.merge(live, {"spec": {"ports": [{"port": 80, "name": "http"}]}}, Service)
    assert merged == {"spec": {"ports": [{"port": 80, "nodePort": 30001, "name": "http"}]}}


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "explode"},
        pod({"image": "no key"}),
        pod({"name": "a", "$patch": "explode"}),
        pod({"name": "a", "$patch": "merge"}),
        pod({"$patch": "delete"}),
        {"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}, "spec": {}},
        {"spec": {"$retainKeys": "containers"}},
        {"spec": {"$setElementOrder/containers": "a"}},
        {"spec": {"$retainKeys": ["x"], "containers": []}},
    ],
    ids=str,
)
def test_a_patch_that_makes_no_sense_is_refused(patch):
    live = {"metadata": {"finalizers": ["a"]}, **pod(A)}
    with pytest.raises(strategic.PatchError):
        strategic.merge(live, patch, Pod)
