"""What kubelets may write of their node, pods, claims and lease; which tokens and evictions they may ask for."""

import copy

import pytest

from control.apiserver.resources.kinds import KINDS
from control.apiserver.running import run
from minik8s.api.errors import StatusError
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.admission.node_restriction import NodeRestriction, check_eviction, check_token
from minik8s.control.apiserver.authn import ADMIN, User

N1 = User("system:node:n1", ("system:nodes",))
OWN_POD = {"metadata": {"name": "x", "uid": "u1"}, "spec": {"nodeName": "n1"}}
OTHER_POD = {"metadata": {"name": "x", "uid": "u2"}, "spec": {"nodeName": "n2"}}
TAINTED = {"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
CLAIM = {"metadata": {"name": "x"}, "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}}
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n", "controller": True}
MIRROR = {
    "metadata": {"name": "x", "annotations": {"kubernetes.io/config.mirror": "h"}, "ownerReferences": [OWNER]},
    "spec": {"nodeName": "n1", "containers": [{"name": "c"}]},
}


class Objects:
    """A reader that knows a node and two pods."""

    async def get(self, plural, namespace, name):
        found = {("nodes", "n1"): {"metadata": {"name": "n1", "uid": "n"}}}
        found |= {("pods", "own"): OWN_POD, ("pods", "other"): OTHER_POD}
        return found.get((plural, name))


def write(kind, verb, name="x", subresource="", namespace="default", old=None, user=N1):
    resource = KINDS[kind]
    where = namespace if resource.namespaced else ""
    return Attributes(verb, resource, where, name, subresource, user.name, user.groups, old, False, Objects())


def labelled(**labels):
    return {"metadata": {"name": "n1", "labels": {key.replace("__", "/"): value for key, value in labels.items()}}}


def changed(document, **fields):
    made = copy.deepcopy(document)
    for path, value in fields.items():
        *way, last = path.split("__")
        place = made
        for step in way:
            place = place.setdefault(step, {})
        place[last] = value
    return made


@pytest.mark.parametrize(
    ("given", "document"),
    [
        (write("Node", "create", "n1"), labelled()),
        (write("Node", "create", "n1"), {"metadata": {"labels": {"kubernetes.io/hostname": "n1", "a": "b"}}}),
        (write("Node", "create", "n1"), {"metadata": {"labels": {"node.kubernetes.io/x": "y", "a.io/b": "c"}}}),
        (write("Node", "patch", "n1", "status", old=TAINTED), changed(TAINTED, status={"phase": "x"})),
        (write("Pod", "patch", subresource="status", old=OWN_POD), changed(OWN_POD, status={"phase": "Running"})),
        (write("Pod", "delete", old=OWN_POD), {}),
        (write("Pod", "create"), MIRROR),
        (write("Lease", "update", "n1", namespace="kube-node-lease", old={}), {}),
        (write("CSINode", "create", "n1"), {}),
        (write("Event", "create"), {}),
        (
            write("PersistentVolumeClaim", "patch", subresource="status", old=CLAIM),
            changed(CLAIM, status__capacity={"storage": "1Gi"}),
        ),
        (write("Pod", "create", user=ADMIN), {}),
        (write("Node", "patch", "n2", user=User("system:node:n1")), {}),
    ],
)
def test_a_node_may_write_what_is_its_own(given, document):
    run(NodeRestriction().mutate(document, given))


NOT_ITSELF = "can only create pods with an owner reference set to itself"


@pytest.mark.parametrize(
    ("given", "document", "why"),
    [
        (write("Node", "patch", "n2", old={}), {}, 'node "n1" is not allowed to modify node "n2"'),
        (write("Node", "delete", "n2", old={}), {}, 'node "n1" is not allowed to modify node "n2"'),
        (write("Node", "update", "n1", old=TAINTED), {}, 'node "n1" is not allowed to modify taints'),
        (
            write("Node", "create", "n1"),
            {"metadata": {"labels": {"kubernetes.io/x": "y", "node-restriction.kubernetes.io/a": "b"}}},
            'node "n1" is not allowed to set the following labels: kubernetes.io/x, node-restriction.kubernetes.io/a',
        ),
        (
            write("Node", "patch", "n1", old={"metadata": {"labels": {"a.node-restriction.kubernetes.io/a": "b"}}}),
            {"metadata": {}},
            "is not allowed to modify labels: a.node-restriction.kubernetes.io/a",
        ),
        (
            write("Node", "patch", "n1", "status", old={"metadata": {}}),
            {"metadata": {"labels": {"x.k8s.io/a": "b"}}},
            "is not allowed to modify labels: x.k8s.io/a",
        ),
        (
            write("Pod", "patch", subresource="status", old=OTHER_POD),
            OTHER_POD,
            'node "n1" can only update pod status for pods with spec.nodeName set to itself',
        ),
        (
            write("Pod", "patch", subresource="status", old=OWN_POD),
            changed(OWN_POD, metadata__labels={"a": "b"}),
            'node "n1" cannot update labels through pod status',
        ),
        (write("Pod", "delete", old=OTHER_POD), {}, 'node "n1" can only delete pods with spec.nodeName set to itself'),
        (
            write("Pod", "update", old=OWN_POD),
            OWN_POD,
            'unexpected operation "UPDATE", node "n1" can only create and delete mirror pods',
        ),
        (
            write("Pod", "create", subresource="binding", old=OTHER_POD),
            {},
            "unexpected pod subresource \"binding\", only 'status' and 'eviction' are allowed",
        ),
        (
            write("Pod", "create"),
            OWN_POD,
            'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
        ),
        (
            write("Pod", "create"),
            changed(MIRROR, spec__nodeName="n2"),
            'node "n1" can only create pods with spec.nodeName set to itself',
        ),
        (write("Pod", "create"), changed(MIRROR, metadata__ownerReferences=[]), f'node "n1" {NOT_ITSELF}'),
        (
            write("Pod", "create"),
            changed(MIRROR, metadata__ownerReferences=[OWNER | {"name": "n2"}]),
            f'node "n1" {NOT_ITSELF}',
        ),
        (
            write("Pod", "create"),
            changed(MIRROR, metadata__ownerReferences=[OWNER, OWNER]),
            'node "n1" can only create pods with a single owner reference set to itself',
        ),
        (
            write("Pod", "create"),
            changed(MIRROR, metadata__ownerReferences=[OWNER | {"controller": False}]),
            'node "n1" can only create pods with a controller owner reference set to itself',
        ),
        (
            write("Pod", "create"),
            changed(MIRROR, metadata__ownerReferences=[OWNER | {"blockOwnerDeletion": True}]),
            'node "n1" must not set blockOwnerDeletion on an owner reference',
        ),
        (
            write("Pod", "create"),
            changed(MIRROR, metadata__ownerReferences=[OWNER | {"uid": "z"}]),
            "node n1 UID mismatch: expected z got n",
        ),
        (
            write("Pod", "create"),
            changed(MIRROR, spec__serviceAccountName="default"),
            'node "n1" can not create pods that reference a service account',
        ),
        (
            write("Pod", "create"),
            changed(MIRROR, spec__volumes=[{"name": "v", "secret": {"secretName": "s"}}]),
            'node "n1" can not create pods that reference secrets',
        ),
        (
            write("Pod", "create"),
            changed(MIRROR, spec__containers=[{"envFrom": [{"configMapRef": {"name": "c"}}]}]),
            'node "n1" can not create pods that reference configmaps',
        ),
        (
            write("PersistentVolumeClaim", "patch", subresource="status", old=CLAIM),
            changed(CLAIM, metadata__labels={"a": "b"}),
            'node "n1" is not allowed to update fields other than status.capacity and status.conditions',
        ),
        (write("PersistentVolumeClaim", "update", old=CLAIM), CLAIM, "may only update PVC status"),
        (
            write("Lease", "update", "n2", namespace="kube-node-lease", old={}),
            {},
            "can only access node lease with the same name as the requesting node",
        ),
        (write("Lease", "create", "n1"), {}, 'can only access leases in the "kube-node-lease" system namespace'),
        (write("CSINode", "create", "n2"), {}, "can only access CSINode with the same name as the requesting node"),
        (
            write("Pod", "create", user=User("system:node:", ("system:nodes",))),
            {},
            'could not determine node from user "system:node:"',
        ),
    ],
)
def test_a_node_may_write_nothing_else(given, document, why):
    with pytest.raises(StatusError) as caught:
        run(NodeRestriction().mutate(document, given))
    assert (caught.value.code, caught.value.message.partition(" is forbidden: ")[2]) == (403, why)


def test_a_node_evicts_its_own_pods():
    check_eviction(N1, OWN_POD)
    check_eviction(ADMIN, OTHER_POD)
    with pytest.raises(StatusError, match=r"node n1 can only evict pods with spec.nodeName set to itself"):
        check_eviction(N1, OTHER_POD)


POD = {"apiVersion": "v1", "kind": "Pod", "name": "own", "uid": "u1"}


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        (POD, ""),
        (None, "not bound to a pod"),
        (POD | {"kind": "Secret"}, "not bound to a pod"),
        (POD | {"uid": ""}, "with a pod binding without a uid"),
        (POD | {"uid": "z"}, "does not match the UID in record"),
        (POD | {"name": "other", "uid": "u2"}, "bound to a pod scheduled on a different node"),
        (POD | {"name": "gone"}, 'pods "gone" not found'),
    ],
)
def test_a_node_asks_for_tokens_of_its_own_pods(reference, why):
    run(check_token(ADMIN, "default", "sa", reference, Wanting()))
    if not why:
        run(check_token(N1, "default", "sa", reference, Wanting()))
        return
    with pytest.raises(StatusError, match=why):
        run(check_token(N1, "default", "sa", reference, Wanting()))


TOKENS = [{"serviceAccountToken": {"path": "token"}}, {"serviceAccountToken": {"path": "v", "audience": "vault"}}]
WITH_TOKENS = [{"name": "a", "projected": {"sources": TOKENS}}, {"name": "b", "csi": {"driver": "d"}}]


class Wanting(Objects):
    """The same, but the pod's volumes want tokens, one of them by its driver."""

    async def get(self, plural, namespace, name):
        if plural == "csidrivers":
            return {"metadata": {"name": name}, "spec": {"tokenRequests": [{"audience": "store"}]}}
        found = await super().get(plural, namespace, name)
        return found | {"spec": found["spec"] | {"volumes": WITH_TOKENS}} if found else None


@pytest.mark.parametrize(
    ("audiences", "why"),
    [
        ([], ""),
        (["vault"], ""),
        (["store"], ""),
        (["other"], 'audience "other" not found in pod spec volume'),
        (["vault", "store"], "node may only request 0 or 1 audiences"),
    ],
)
def test_a_node_asks_for_tokens_that_volumes_want(audiences, why):
    run(check_token(ADMIN, "default", "sa", POD, Wanting(), audiences=audiences))
    if not why:
        run(check_token(N1, "default", "sa", POD, Wanting(), audiences=audiences))
        return
    with pytest.raises(StatusError, match=why):
        run(check_token(N1, "default", "sa", POD, Wanting(), audiences=audiences))


def test_a_node_asks_for_no_token_that_no_volume_wants():
    with pytest.raises(StatusError, match="not found in pod spec volume"):
        run(check_token(N1, "default", "sa", POD, Objects()))
