"""What kubelets may do: rules for all, and of some kinds what their own pods need."""

import msgspec
import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authn import ADMIN, User
from minik8s.control.apiserver.authz.attributes import of_request
from minik8s.control.apiserver.authz.node_graph import references
from tests.control.apiserver.authz.test_rbac import AUTHENTICATED
from tests.control.apiserver.harness import local_core, scenario

N1 = User("system:node:n1", ("system:nodes", AUTHENTICATED))
SPEC = {
    "serviceAccountName": "sa",
    "imagePullSecrets": [{"name": "pull"}],
    "containers": [
        {
            "name": "c",
            "image": "i",
            "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "env-secret", "key": "k"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "env-map", "key": "k"}}},
            ],
            "envFrom": [{"secretRef": {"name": "from-secret"}}, {"configMapRef": {"name": "from-map"}}],
        }
    ],
    "initContainers": [{"name": "i", "image": "i", "envFrom": [{"configMapRef": {"name": "init-map"}}]}],
    "volumes": [
        {"name": "a", "secret": {"secretName": "vol-secret"}},
        {"name": "b", "configMap": {"name": "vol-map"}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
        {
            "name": "d",
            "projected": {"sources": [{"secret": {"name": "proj-secret"}}, {"configMap": {"name": "proj-map"}}]},
        },
        {"name": "e", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "csi-secret"}}},
        {"name": "f", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
    ],
}


def test_all_that_a_pod_names_counts():
    assert set(references({"metadata": {"name": "p"}, "spec": SPEC})) == {
        ("serviceaccounts", "sa"),
        *(("secrets", f"{each}") for each in ("pull", "env-secret", "from-secret", "vol-secret", "proj-secret")),
        ("secrets", "csi-secret"),
        *(("configmaps", each) for each in ("env-map", "from-map", "init-map", "vol-map", "proj-map")),
        ("persistentvolumeclaims", "claim"),
        ("persistentvolumeclaims", "p-f"),
    }
    mirror = {"name": "p", "annotations": {"kubernetes.io/config.mirror": "h"}}
    assert list(references({"metadata": mirror, "spec": SPEC})) == []


async def create(core, plural, document, namespace="default", group="", name="x"):
    body = msgspec.json.encode({"metadata": {"name": name}} | document)
    await core.api.as_user(ADMIN).call(Request("create", group, "v1", plural, namespace, body=body))


async def ask(core, text, user=N1):
    """VERB [GROUP:]RESOURCE[/SUBRESOURCE] [NAMESPACE]/[NAME] [SELECTOR]"""
    verb, what, place, *selector = text.split()
    group, _, resource = what.rpartition(":")
    plural, _, subresource = resource.partition("/")
    namespace, _, name = place.partition("/")
    query = {"fieldSelector": selector[0]} if selector else {}
    request = Request(verb, group, "v1", plural, namespace, name, subresource, query)
    return await core.authorizer.authorize(of_request(user, request))


VOLUME = {
    "spec": {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "claimRef": {"namespace": "default", "name": "claim", "kind": "PersistentVolumeClaim"},
        "csi": {
            "driver": "d",
            "volumeHandle": "h",
            "nodeStageSecretRef": {"name": "stage", "namespace": "storage"},
            "controllerPublishSecretRef": {"name": "publish", "namespace": "storage"},
        },
    }
}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "pv"}
ATTACHMENT = {"attacher": "a", "nodeName": "n1", "source": {"persistentVolumeName": "pv"}}
NO_RELATION = "no relationship found between node 'n1' and this object"


@scenario
async def test_a_node_reads_what_its_pods_refer_to():
    async with local_core() as core:
        await create(core, "serviceaccounts", {}, name="sa")
        for name, node in (("own", "n1"), ("other", "n2")):
            spec = SPEC | {"nodeName": node}
            if name == "other":
                spec = {**spec, "volumes": [{"name": "a", "secret": {"secretName": "others"}}], "imagePullSecrets": []}
            await create(core, "pods", {"spec": spec}, name=name)
        await create(core, "persistentvolumes", VOLUME, "", name="pv")
        await create(core, "persistentvolumeclaims", {"spec": CLAIM}, name="claim")
        await create(core, "volumeattachments", {"spec": ATTACHMENT}, "", "storage.k8s.io", name="va")
        await core.api.reader.reached()
        rows = [
            ("get secrets default/vol-secret", True),
            ("get secrets default/csi-secret", True),
            ("list secrets default/ metadata.name=vol-secret", True),
            ("watch secrets default/ metadata.name=vol-secret", True),
            (r"list secrets default/ type!=a\,metadata.name=vol-secret", "No Object name found"),
            ("list secrets default/", "No Object name found"),
            ("list secrets / metadata.name=vol-secret", "can only read namespaced object of this type"),
            ("get secrets default/others", NO_RELATION),
            ("get secrets kube-system/vol-secret", NO_RELATION),
            ("update secrets default/vol-secret", "can only read resources of this type"),
            ("get secrets storage/stage", True),
            ("get secrets storage/publish", NO_RELATION),
            ("get configmaps default/env-map", True),
            ("get configmaps default/vol-secret", NO_RELATION),
            ("get persistentvolumeclaims default/claim", True),
            ("list persistentvolumeclaims default/", "can only get individual resources of this type"),
            ("patch persistentvolumeclaims/status default/claim", True),
            ("get persistentvolumeclaims/status default/claim", "can only get/update/patch this type"),
            ("patch persistentvolumeclaims/status default/x", NO_RELATION),
            ("get persistentvolumes /pv", True),
            ("get persistentvolumes /x", NO_RELATION),
            ("get storage.k8s.io:volumeattachments /va", True),
            ("get storage.k8s.io:volumeattachments /x", NO_RELATION),
            ("create serviceaccounts/token default/sa", True),
            ("create serviceaccounts/token default/default", NO_RELATION),
            ("create serviceaccounts default/", "can only create tokens for individual service accounts"),
            ("create serviceaccounts/x default/sa", "can only create token subresource of serviceaccount"),
            ("get serviceaccounts default/sa", True),
            ("get pods default/own", True),
            ("get pods default/other", NO_RELATION),
            ("list pods / spec.nodeName=n1", True),
            ("list pods / spec.nodeName==n1,status.phase!=Failed", True),
            ("list pods / spec.nodeName!=n1", "can only list/watch pods with spec.nodeName field selector"),
            ("watch pods / spec.nodeName=n2", "can only list/watch pods with spec.nodeName field selector"),
            (
                r"list pods / status.phase!=a\,spec.nodeName=n1",
                "can only list/watch pods with spec.nodeName field selector",
            ),
            ("list pods default/", "can only list/watch pods with spec.nodeName field selector"),
            ("create pods default/", True),
            ("delete pods default/other", True),
            ("update pods default/own", ""),
            ("patch pods/status default/own", True),
            ("create pods/eviction default/own", True),
            ("create pods/binding default/own", ""),
        ]
        for text, expected in rows:
            verdict = await ask(core, text)
            assert (True if verdict.is_allowed else verdict.reason) == expected, text
        await core.api.as_user(ADMIN).call(Request("delete", "", "v1", "pods", "default", "own", body=NOW))
        await core.api.reader.reached()
        assert not (await ask(core, "get secrets default/vol-secret")).is_allowed


NOW = b'{"gracePeriodSeconds": 0}'


@scenario
async def test_a_node_has_its_own_node_lease_and_csinode():
    async with local_core() as core:
        rows = [
            ("get nodes /n1", True),
            ("get nodes /n2", "node 'n1' cannot read 'n2', only its own Node object"),
            ("list nodes /", "node 'n1' cannot read all nodes, only its own Node object"),
            ("watch nodes / metadata.name=n1", True),
            ("create nodes /", True),
            ("patch nodes/status /n1", True),
            ("delete nodes /n1", ""),
            ("create coordination.k8s.io:leases kube-node-lease/", True),
            ("update coordination.k8s.io:leases kube-node-lease/n1", True),
            (
                "update coordination.k8s.io:leases kube-node-lease/n2",
                "can only access node lease with the same name as the requesting node",
            ),
            (
                "update coordination.k8s.io:leases kube-system/n1",
                'can only access leases in the "kube-node-lease" system namespace',
            ),
            (
                "list coordination.k8s.io:leases kube-node-lease/",
                "can only get, create, update, patch, or delete a node lease",
            ),
            ("get storage.k8s.io:csinodes /n1", True),
            ("get storage.k8s.io:csinodes /n2", "can only access CSINode with the same name as the requesting node"),
            ("list storage.k8s.io:csinodes /", "can only get, create, update, patch, or delete a CSINode"),
            ("list services /", True),
            ("create events default/", True),
            ("list deployments default/", ""),
            ("create certificates.k8s.io:certificatesigningrequests /", True),
        ]
        for text, expected in rows:
            verdict = await ask(core, text)
            assert (True if verdict.is_allowed else verdict.reason) == expected, text


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (N1, True),
        (User("system:node:n2", ("system:nodes",)), False),
        (User("system:node:n1", ()), False),
        (User("n1", ("system:nodes",)), False),
        (User("system:node:", ("system:nodes",)), False),
    ],
)
@scenario
async def test_who_is_a_node(user, expected):
    async with local_core() as core:
        assert (await ask(core, "get nodes /n1", user)).is_allowed is expected


@scenario
async def test_a_refusal_says_why():
    async with local_core() as core:
        with pytest.raises(StatusError) as caught:
            await core.api.as_user(N1).call(Request("get", "", "v1", "secrets", "default", "s"))
        assert caught.value.message == (
            'secrets "s" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" '
            f'in the namespace "default": {NO_RELATION}'
        )
