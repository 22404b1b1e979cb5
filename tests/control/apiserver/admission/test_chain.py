"""Admission plugins, one by one."""

import pytest

from control.apiserver.resources.kinds import KINDS
from control.apiserver.running import run
from minik8s.api.errors import Cause, StatusError
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.admission.certificate_requester import CertificateRequester
from minik8s.control.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from minik8s.control.apiserver.admission.node_restriction import NodeRestriction
from minik8s.control.apiserver.admission.priority import Priority
from minik8s.control.apiserver.admission.taint_nodes import TaintNodesByCondition
from minik8s.control.apiserver.admission.tolerations import DefaultTolerationSeconds

NAMESPACES = {
    "default": {"metadata": {"name": "default"}, "status": {"phase": "Active"}},
    "leaving": {"metadata": {"name": "leaving"}, "status": {"phase": "Terminating"}},
}
NODE_N1 = "system:node:n1"
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


OWN_POD, OTHER_POD = {"spec": {"nodeName": "n1"}}, {"spec": {"nodeName": "n2"}}
TAINTED = {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}


@pytest.mark.parametrize(
    "given",
    [
        attributes("Node", "create", "", "n1", user=NODE_N1),
        attributes("Node", "patch", "", "n1", "status", NODE_N1, {"spec": {}}),
        attributes("Node", "update", "", "n1", user=NODE_N1, old={"spec": {}}),
        attributes("Pod", "patch", subresource="status", user=NODE_N1, old=OWN_POD),
        attributes("Pod", "delete", user=NODE_N1, old=OWN_POD),
        attributes("Lease", "update", "kube-node-lease", "n1", user=NODE_N1),
        attributes("Event", "create", user=NODE_N1),
        attributes("Pod", "create"),
    ],
)
def test_a_node_may_write_what_is_its_own(given):
    admit(NodeRestriction(), {}, given)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (
            attributes("Node", "patch", "", "n2", user=NODE_N1),
            'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
        ),
        (
            attributes("Node", "update", "", "n1", user=NODE_N1, old=TAINTED),
            'nodes "n1" is forbidden: node "n1" is not allowed to modify taints',
        ),
        (
            attributes("Pod", "patch", subresource="status", user=NODE_N1, old=OTHER_POD),
            'pods "x" is forbidden: node "n1" can only update pod status for pods with spec.nodeName set to itself',
        ),
        (
            attributes("Pod", "delete", user=NODE_N1, old=OTHER_POD),
            'pods "x" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself',
        ),
        (
            attributes("Pod", "update", user=NODE_N1, old=OWN_POD),
            'pods "x" is forbidden: node "n1" can only update the status of pods',
        ),
        (
            attributes("Pod", "create", subresource="binding", user=NODE_N1),
            'pods "x" is forbidden: node "n1" can not create pods or bind them',
        ),
        (
            attributes("Lease", "update", "kube-node-lease", "n2", user=NODE_N1),
            'leases.coordination.k8s.io "n2" is forbidden: can only access node lease with the same name as the '
            "requesting node",
        ),
        (
            attributes("Lease", "create", "default", "n1", user=NODE_N1),
            'leases.coordination.k8s.io "n1" is forbidden: can only access leases in the "kube-node-lease" system '
            "namespace",
        ),
    ],
)
def test_a_node_may_write_nothing_else(given, why):
    found = refusal(NodeRestriction(), {}, given)
    assert (found.code, found.message) == (403, why)
