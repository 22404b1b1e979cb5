"""Tables: rows of every kind with something to say, and the frame around them."""

import json
from pathlib import Path

import pytest

from minik8s.control.apiserver.printers import partial_list, table
from minik8s.control.apiserver.resources import ALL
from minik8s.control.apiserver.resources.scale import SCALES

KINDS = {resource.kind: resource for resource in (*ALL, SCALES)}
RECORDED = json.loads((Path(__file__).parent / "golden/recorded.json").read_text())
NOW_S = 1_000_000.0
TWO_SECONDS_AGO = "1970-01-12T13:46:38Z"
META = {"name": "web", "creationTimestamp": TWO_SECONDS_AGO}
TEMPLATE = {"spec": {"containers": [{"name": "nginx", "image": "nginx"}]}}
SELECTOR = {"matchLabels": {"app": "web"}}


def row(kind, **document):
    return table(KINDS[kind], [{"metadata": META, **document}], now_s=NOW_S)["rows"][0]["cells"]


def test_rows_are_as_recorded():
    recorded = dict(RECORDED["rows"])
    pod = row("Pod", spec={"nodeName": "node1", "containers": [{"name": "c"}]}, status={"phase": "Pending"})
    assert pod == recorded["pods"][0]
    deployment = row("Deployment", spec={"replicas": 2, "selector": SELECTOR, "template": TEMPLATE}, status={})
    assert deployment == recorded["deployments"][0]
    assert row("ConfigMap", data={"a": "b"})[1:] == recorded["configmaps"][0][1:]
    assert row("Scale", spec={"replicas": 2}, status={"replicas": 0}) == recorded["scale"][0]


@pytest.mark.parametrize(
    ("kind", "document", "cells"),
    [
        (
            "ReplicaSet",
            {"spec": {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE}, "status": {"replicas": 2}},
            ["web", 3, 2, 0, "2s", "nginx", "nginx", "app=web"],
        ),
        (
            "Service",
            {
                "spec": {
                    "type": "NodePort",
                    "clusterIP": "10.0.0.1",
                    "clusterIPs": ["10.0.0.1"],
                    "ports": [{"port": 80, "nodePort": 30001, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
                    "selector": {"b": "2", "a": "1"},
                }
            },
            ["web", "NodePort", "10.0.0.1", "<none>", "80:30001/TCP,53/UDP", "2s", "a=1,b=2"],
        ),
        (
            "Service",
            {"spec": {"type": "ExternalName", "externalName": "a.b"}},
            ["web", "ExternalName", "<none>", "a.b", "<none>", "2s", "<none>"],
        ),
        (
            "Service",
            {"spec": {"type": "LoadBalancer"}},
            ["web", "LoadBalancer", "<none>", "<pending>", "<none>", "2s", "<none>"],
        ),
        (
            "Node",
            {
                "spec": {"unschedulable": True},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                    "nodeInfo": {"kubeletVersion": "v1.36.0", "containerRuntimeVersion": "process://1"},
                },
            },
            [
                "web",
                "Ready,SchedulingDisabled",
                "<none>",
                "2s",
                "v1.36.0",
                "127.0.0.1",
                "<none>",
                "<unknown>",
                "<unknown>",
                "process://1",
            ],
        ),
        (
            "Node",
            {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
            ["web", "NotReady", "<none>", "2s", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"],
        ),
        ("Namespace", {"status": {"phase": "Active"}}, ["web", "Active", "2s"]),
        ("Lease", {"spec": {"holderIdentity": "a"}}, ["web", "a", "2s"]),
        (
            "EndpointSlice",
            {
                "addressType": "IPv4",
                "ports": [{"port": 80}, {"name": "x"}, {}],
                "endpoints": [{"addresses": [f"10.0.0.{number}"]} for number in range(5)],
            },
            ["web", "IPv4", "80,x,*", "10.0.0.0,10.0.0.1,10.0.0.2 + 2 more...", "2s"],
        ),
        ("EndpointSlice", {"addressType": "IPv4"}, ["web", "IPv4", "<unset>", "<unset>", "2s"]),
        (
            "Event",
            {
                "firstTimestamp": "1970-01-12T13:45:40Z",
                "lastTimestamp": TWO_SECONDS_AGO,
                "count": 3,
                "type": "Normal",
                "reason": "Started",
                "message": " Started container \n",
                "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"},
                "source": {"component": "kubelet", "host": "n1"},
            },
            [
                "2s",
                "Normal",
                "Started",
                "pod/p",
                "spec.containers{c}",
                "kubelet, n1",
                "Started container",
                "60s",
                3,
                "web",
            ],
        ),
        (
            "Event",
            {
                "eventTime": "1970-01-12T13:45:40.000000Z",
                "series": {"count": 9, "lastObservedTime": "1970-01-12T13:46:38.000000Z"},
                "reportingComponent": "scheduler",
                "involvedObject": {"kind": "Pod"},
            },
            ["2s", "", "", "pod", "", "scheduler", "", "60s", 9, "web"],
        ),
    ],
)
def test_a_row_says_what_kubectl_users_know(kind, document, cells):
    assert row(kind, **document) == cells


def test_the_roles_of_a_node_come_from_its_labels():
    labels = {
        "node-role.kubernetes.io/worker": "",
        "node-role.kubernetes.io/control-plane": "",
        "kubernetes.io/role": "x",
    }
    made = table(KINDS["Node"], [{"metadata": META | {"labels": labels}}], now_s=NOW_S)
    assert made["rows"][0]["cells"][2] == "control-plane,worker,x"


@pytest.mark.parametrize(
    ("include", "kind"), [("None", None), ("Metadata", "PartialObjectMetadata"), ("Object", "ConfigMap")]
)
def test_rows_carry_what_was_asked_for(include, kind):
    document = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": META}
    made = table(
        KINDS["ConfigMap"], [document], now_s=NOW_S, include_object=include, list_meta={"resourceVersion": "7"}
    )
    assert (made["kind"], made["apiVersion"], made["metadata"]) == (
        "Table",
        "meta.k8s.io/v1",
        {"resourceVersion": "7"},
    )
    assert made["rows"][0].get("object", {}).get("kind") == kind


def test_a_watch_leaves_the_columns_out_after_the_first_event():
    assert table(KINDS["Pod"], [], now_s=NOW_S, columns=False)["columnDefinitions"] == []
    first = table(KINDS["Pod"], [], now_s=NOW_S)["columnDefinitions"][0]
    assert (first["name"], first["type"], first["format"], first["priority"]) == ("Name", "string", "name", 0)


def test_a_list_of_metadata_has_no_specs():
    made = partial_list([{"metadata": META, "spec": {}}], {"resourceVersion": "7"})
    assert made["items"] == [{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": META}]
