"""Service: one stable address in front of many pods. What may be in a spec is in `servicespec`."""

from typing import Any

from minik8s.api.core_v1 import Service
from minik8s.api.selectors import format_labels
from minik8s.control.apiserver.causes import invalid
from minik8s.control.apiserver.duration import UNKNOWN, age
from minik8s.control.apiserver.resource import Claim, Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE, SELECTOR
from minik8s.control.apiserver.resources.objectmeta import label_1035_name
from minik8s.control.apiserver.resources.servicespec import (
    default_service,
    has_cluster_ip,
    keep_allocated,
    validate_service,
    validate_service_update,
)


def _prepare_create(service: Document) -> None:
    service["status"] = {"loadBalancer": {}}


def claims(service: Document) -> list[Claim]:
    """The addresses and node ports the Service holds alone."""
    spec = service.get("spec", {})
    held = []
    if has_cluster_ip(service) and (address := spec.get("clusterIP")):
        why = f"failed to allocate IP {address}: provided IP is already allocated"
        held.append(Claim(f"serviceips/{address}", invalid("spec.clusterIPs", [address], why)))
    for index, port in enumerate(spec.get("ports", ())):
        if number := port.get("nodePort"):
            taken = invalid(f"spec.ports[{index}].nodePort", number, "provided port is already allocated")
            held.append(Claim(f"servicenodeports/{port.get('protocol', 'TCP')}/{number}", taken))
    return held


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
    default=default_service,
    prepare_create=_prepare_create,
    prepare_update=keep_allocated,
    validate=validate_service,
    validate_update=validate_service_update,
    validate_name=label_1035_name,
    claims=claims,
    fields=_fields,
    field_names=("spec.clusterIP", "spec.type"),
)
