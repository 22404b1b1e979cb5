"""Discovery: the two dialects say the same, and what they say is as a real server says it."""

import pytest

from minik8s.control.apiserver.discovery import aggregated, documents
from minik8s.control.apiserver.resources import ALL

# Named groups in kube-apiserver's order.
GROUPS = [
    "apiregistration.k8s.io",
    "events.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
]
ALL_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_aggregated_discovery_has_the_version_asked_for(version):
    made = aggregated(ALL, "/apis", version)
    assert (made["kind"], made["apiVersion"]) == ("APIGroupDiscoveryList", f"apidiscovery.k8s.io/{version}")
    assert [group["metadata"]["name"] for group in made["items"]] == GROUPS


def test_the_core_group_has_a_document_of_its_own():
    (core,) = aggregated(ALL, "/api", "v2")["items"]
    (version,) = core["versions"]
    assert (version["version"], version["freshness"]) == ("v1", "Current")
    assert [item["resource"] for item in version["resources"]] == [
        "configmaps",
        "endpoints",
        "events",
        "limitranges",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "serviceaccounts",
        "services",
    ]


def test_a_resource_is_described_as_a_real_server_does():
    apps = aggregated(ALL, "/apis", "v2")["items"][GROUPS.index("apps")]["versions"][0]["resources"]
    assert apps[2] == {
        "resource": "deployments",
        "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "scope": "Namespaced",
        "singularResource": "deployment",
        "verbs": ALL_VERBS,
        "shortNames": ["deploy"],
        "categories": ["all"],
        "subresources": [
            {
                "subresource": "scale",
                "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                "verbs": ["get", "patch", "update"],
            },
            {
                "subresource": "status",
                "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
                "verbs": ["get", "patch", "update"],
            },
        ],
    }


def test_the_older_documents_are_as_recorded():
    found = documents(ALL)
    assert found["/api"]["versions"] == ["v1"]
    assert [group["name"] for group in found["/apis"]["groups"]] == GROUPS
    assert found["/apis/apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    core = {entry["name"]: entry for entry in found["/api/v1"]["resources"]}
    # GET /api/v1 of kube-apiserver 1.36.2.
    assert core["configmaps"] == {
        "name": "configmaps",
        "singularName": "configmap",
        "namespaced": True,
        "kind": "ConfigMap",
        "verbs": ALL_VERBS,
        "shortNames": ["cm"],
        "storageVersionHash": "qFsyl6wFWjQ=",
    }
    assert core["namespaces"]["verbs"] == ["create", "delete", "get", "list", "patch", "update", "watch"]
    assert core["namespaces/finalize"] == {
        "name": "namespaces/finalize",
        "singularName": "",
        "namespaced": False,
        "kind": "Namespace",
        "verbs": ["update"],
    }
    assert core["nodes/status"]["verbs"] == ["get", "patch", "update"]
    assert core["pods/binding"]["kind"] == "Binding"


def test_both_dialects_name_the_same_resources():
    old = {
        (path, entry["name"])
        for path, document in documents(ALL).items()
        if document["kind"] == "APIResourceList"
        for entry in document["resources"]
    }
    new = set()
    for root in ("/api", "/apis"):
        for group in aggregated(ALL, root, "v2")["items"]:
            for version in group["versions"]:
                path = "/".join(filter(None, [root, group["metadata"].get("name"), version["version"]]))
                for item in version["resources"]:
                    new.add((path, item["resource"]))
                    new |= {(path, f"{item['resource']}/{sub['subresource']}") for sub in item.get("subresources", ())}
    assert old == new
