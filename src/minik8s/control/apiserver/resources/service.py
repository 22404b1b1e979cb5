"""Service: one stable address in front of many pods."""

from typing import Any

from minik8s.api.core_v1 import Service
from minik8s.api.selectors import format_labels
from minik8s.control.apiserver.duration import UNKNOWN, age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE, SELECTOR

HEADLESS = "None"


def has_cluster_ip(service: Document) -> bool:
    """Whether the Service wants an address of its own."""
    spec = service.get("spec", {})
    return spec.get("type") != "ExternalName" and spec.get("clusterIP") != HEADLESS


def wants_node_ports(service: Document) -> bool:
    """Whether each of its ports wants a port on every node."""
    spec = service.get("spec", {})
    if spec.get("type") == "LoadBalancer":
        return spec.get("allocateLoadBalancerNodePorts", True)
    return spec.get("type") == "NodePort"


def _external(service: Document) -> str:
    spec = service.get("spec", {})
    addresses = spec.get("externalIPs", [])
    match spec.get("type", "ClusterIP"):
        case "ClusterIP" | "NodePort":
            return ",".join(addresses) or NONE
        case "LoadBalancer":
            ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", ())
            given = [item.get("ip") or item.get("hostname", "") for item in ingress]
            return ",".join([*given, *addresses]) or "<pending>"
        case "ExternalName":
            return spec.get("externalName", "")
    return UNKNOWN


def _port(port: Document) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}"


def _row(service: Document, now_s: float) -> list[Any]:
    spec = service.get("spec", {})
    return [
        service["metadata"]["name"],
        spec.get("type", "ClusterIP"),
        next(iter(spec.get("clusterIPs", ())), NONE),
        _external(service),
        ",".join(map(_port, spec.get("ports", ()))) or NONE,
        age(service, now_s),
        format_labels(spec.get("selector", {})),
    ]


def _fields(service: Document) -> dict[str, str]:
    spec = service.get("spec", {})
    return {"spec.clusterIP": spec.get("clusterIP", ""), "spec.type": spec.get("type", "")}


SERVICES = Resource(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    namespaced=True,
    model=Service,
    storage_prefix="services/specs",
    short_names=("svc",),
    categories=("all",),
    subresources=("proxy", "status"),
    columns=(
        NAME,
        Column("Type", description="ClusterIP, NodePort, LoadBalancer or ExternalName."),
        Column("Cluster-IP", description="The stable address within the cluster."),
        Column("External-IP", description="Addresses that lead to the service from outside."),
        Column("Port(s)", description="The ports it serves."),
        AGE,
        SELECTOR,
    ),
    row=_row,
    fields=_fields,
    field_names=("spec.clusterIP", "spec.type"),
)
