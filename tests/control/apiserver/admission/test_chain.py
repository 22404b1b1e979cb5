"""Admission plugins, one by one."""

import pytest

from control.apiserver.resources.kinds import KINDS
from control.apiserver.running import run
from minik8s.api.errors import Cause, StatusError
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.admission.certificate_requester import CertificateRequester
from minik8s.control.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from minik8s.control.apiserver.admission.priority import Priority
from minik8s.control.apiserver.admission.taint_nodes import TaintNodesByCondition
from minik8s.control.apiserver.admission.tolerations import DefaultTolerationSeconds

NAMESPACES = {
    "default": {"metadata": {"name": "default"}, "status": {"phase": "Active"}},
    "leaving": {"metadata": {"name": "leaving"}, "status": {"phase": "Terminating"}},
}
OTHERS = {"gold": {"metadata": {"name": "gold"}, "value": 7, "preemptionPolicy": "Never"}}


class Namespaces:
    """A reader that knows NAMESPACES, and a PriorityClass."""

    async def get(self, plural, namespace, name):
        return (OTHERS if plural == "priorityclasses" else NAMESPACES).get(name)


def attributes(kind="Pod", verb="create", namespace="default", name="x", subresource="", user="admin", old=None):
    return Attributes(verb, KINDS[kind], namespace, name, subresource, user, (), old, False, Namespaces())


def admit(plugin, document, given):
    run(plugin.mutate(document, given))
    run(plugin.validate(document, given))
    return document


def refusal(plugin, document, given):
    with pytest.raises(StatusError) as caught:
        admit(plugin, document, given)
    return caught.value


def test_what_has_no_namespace_cannot_be_created():
    found = refusal(NamespaceLifecycle(), {}, attributes(namespace="nope"))
    assert (found.code, found.message) == (404, 'namespaces "nope" not found')


def test_nothing_is_created_in_a_namespace_that_goes():
    found = refusal(NamespaceLifecycle(), {}, attributes(namespace="leaving"))
    assert (found.code, found.message) == (
        403,
        'pods "x" is forbidden: unable to create new content in namespace leaving because it is being terminated',
    )
    assert found.causes == (
        Cause("NamespaceTerminating", "namespace leaving is being terminated", "metadata.namespace"),
    )


def test_what_is_there_may_still_change_in_a_namespace_that_goes():
    admit(NamespaceLifecycle(), {}, attributes(verb="update", namespace="leaving"))
    admit(NamespaceLifecycle(), {}, attributes(verb="delete", namespace="leaving"))


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_some_namespaces_stay_for_ever(name):
    found = refusal(NamespaceLifecycle(), {}, attributes("Namespace", "delete", "", name))
    assert found.message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'


def test_pods_stay_five_minutes_on_a_failing_node():
    spec = admit(DefaultTolerationSeconds(), {"spec": {}}, attributes())["spec"]
    assert spec["tolerations"] == [
        {
            "key": f"node.kubernetes.io/{taint}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
        for taint in ("not-ready", "unreachable")
    ]


@pytest.mark.parametrize(
    ("own", "added"),
    [
        ({"key": "node.kubernetes.io/not-ready", "operator": "Exists"}, ["node.kubernetes.io/unreachable"]),
        ({"operator": "Exists"}, []),
        (
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoSchedule"},
            ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"],
        ),
    ],
)
def test_a_pod_that_says_how_long_it_stays_is_heard(own, added):
    spec = admit(DefaultTolerationSeconds(), {"spec": {"tolerations": [own]}}, attributes())["spec"]
    assert [item.get("key") for item in spec["tolerations"][1:]] == added


def test_a_new_node_takes_no_pods_yet():
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    assert admit(TaintNodesByCondition(), {}, attributes("Node"))["spec"]["taints"] == [taint]
    assert admit(TaintNodesByCondition(), {"spec": {"taints": [taint]}}, attributes("Node"))["spec"]["taints"] == [
        taint
    ]
    assert admit(TaintNodesByCondition(), {}, attributes("Node", "update")) == {}


def test_every_pod_has_a_priority():
    assert admit(Priority(), {}, attributes())["spec"] == {"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}
    critical = admit(Priority(), {"spec": {"priorityClassName": "system-node-critical"}}, attributes())
    assert critical["spec"]["priority"] == 2_000_001_000


def test_a_priority_is_not_for_clients_to_choose():
    found = refusal(Priority(), {"spec": {"priority": 5}}, attributes())
    assert "must not be provided in pod spec" in found.message
    found = refusal(Priority(), {"spec": {"priorityClassName": "iron"}}, attributes())
    assert found.message == 'pods "x" is forbidden: no PriorityClass with name iron was found'


def test_a_priority_class_says_what_a_pod_is_worth():
    golden = admit(Priority(), {"spec": {"priorityClassName": "gold"}}, attributes())
    assert (golden["spec"]["priority"], golden["spec"]["preemptionPolicy"]) == (7, "Never")


def test_a_signing_request_says_who_made_it_whatever_it_claims():
    claim = {"spec": {"username": "root", "groups": ["system:masters"], "extra": {"a": ["b"]}, "uid": "0"}}
    made = admit(CertificateRequester(), claim, attributes("CertificateSigningRequest", user="bob"))
    assert made["spec"] == {"username": "bob"}
