"""The spec of a Service: defaults, syntax, and what an update keeps of the addresses it was given."""

from ipaddress import ip_address
from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults, dns_subdomain_faults
from minik8s.control.apiserver.causes import (
    duplicate,
    each_invalid,
    forbidden,
    invalid,
    one_of,
    port_number,
    required,
)
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.container import PROTOCOLS
from minik8s.control.apiserver.resources.objectmeta import validate_labels
from minik8s.control.apiserver.resources.probe import validate_port_reference
from minik8s.control.apiserver.resources.status import keep_status

HEADLESS = "None"
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_ADDRESS_WRONG = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def has_cluster_ip(service: Document) -> bool:
    """Whether the Service wants an address of its own."""
    spec = service.get("spec", {})
    return spec.get("type") != "ExternalName" and spec.get("clusterIP") != HEADLESS


def wants_node_ports(service: Document) -> bool:
    """Whether each of its ports wants a port on every node."""
    spec = service.get("spec", {})
    if spec.get("type") == "LoadBalancer":
        return bool(spec.get("allocateLoadBalancerNodePorts", True))
    return spec.get("type") == "NodePort"


def default_service(service: Document) -> None:
    """As kube-apiserver; addresses are filled in by `allocation`."""
    spec = service.setdefault("spec", {})
    spec["type"] = spec.get("type") or "ClusterIP"
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if spec["sessionAffinity"] == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", 10800)
    for port in spec.get("ports", ()):
        port["protocol"] = port.get("protocol") or "TCP"
        port["targetPort"] = port.get("targetPort") or port.get("port", 0)
        if not port.get("nodePort"):
            port.pop("nodePort", None)
    if spec["type"] != "ExternalName":
        spec["internalTrafficPolicy"] = spec.get("internalTrafficPolicy") or "Cluster"
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec["externalTrafficPolicy"] = spec.get("externalTrafficPolicy") or "Cluster"
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if not spec.get("clusterIP"):
        spec.pop("clusterIP", None)
        if given := spec.get("clusterIPs"):
            spec["clusterIP"] = given[0]
    if spec.get("clusterIP") == HEADLESS:
        spec["clusterIPs"] = [HEADLESS]
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")


def keep_allocated(new: Document, old: Document) -> None:
    """An update that does not name the addresses keeps them; one that gives up the type gives them up."""
    keep_status(new, old)
    spec, before = new["spec"], old.get("spec", {})
    if has_cluster_ip(new) and has_cluster_ip(old):
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if field in before and not spec.get(field):
                spec[field] = before[field]
    elif not has_cluster_ip(new) and spec["type"] == "ExternalName":
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            if spec.get(field) == before.get(field):
                spec.pop(field, None)
    if spec["type"] not in ("NodePort", "LoadBalancer") and spec.get("externalTrafficPolicy") == before.get(
        "externalTrafficPolicy"
    ):
        spec.pop("externalTrafficPolicy", None)
    _keep_node_ports(new, old)


def _keep_node_ports(new: Document, old: Document) -> None:
    held = {_port_key(port): port["nodePort"] for port in old.get("spec", {}).get("ports", ()) if port.get("nodePort")}
    for port in new["spec"].get("ports", ()):
        before = held.get(_port_key(port))
        if wants_node_ports(new) and before and "nodePort" not in port:
            port["nodePort"] = before
        elif not wants_node_ports(new) and wants_node_ports(old) and port.get("nodePort") == before:
            port.pop("nodePort", None)


def _port_key(port: Document) -> tuple[Any, Any]:
    return port.get("protocol", "TCP"), port.get("port")


def validate_service(service: Document) -> list[Cause]:
    """Causes for a Service after defaulting and allocation."""
    spec = service["spec"]
    kind = spec["type"]
    found = _validate_addresses(service)
    if not spec.get("ports") and kind != "ExternalName" and spec.get("clusterIP") != HEADLESS:
        found.append(required("spec.ports"))
    found += _validate_ports(service, spec.get("ports", []), "spec.ports")
    found += one_of("spec.type", kind, TYPES)
    found += one_of("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    found += validate_labels(spec.get("selector", {}), "spec.selector")
    for field in ("internalTrafficPolicy", "externalTrafficPolicy"):
        if field in spec:
            found += one_of(f"spec.{field}", spec[field], ("Cluster", "Local"))
    if kind == "ExternalName":
        name = spec.get("externalName", "")
        if not name:
            found.append(required("spec.externalName"))
        found += each_invalid("spec.externalName", name, dns_subdomain_faults(name.lower().rstrip("."))) if name else []
    return found


def _validate_addresses(service: Document) -> list[Cause]:
    spec = service["spec"]
    kind, address, addresses = spec["type"], spec.get("clusterIP"), spec.get("clusterIPs", [])
    found = []
    if kind == "ExternalName":
        if address:
            found.append(forbidden("spec.clusterIPs", "may not be set when `type` is 'ExternalName'"))
    elif address == HEADLESS:
        if kind != "ClusterIP":
            found.append(invalid("spec.clusterIPs[0]", HEADLESS, f"may not be set to 'None' for {kind} services"))
    elif address:
        if not _is_address(address):
            found.append(invalid("spec.clusterIPs[0]", address, _ADDRESS_WRONG))
        elif addresses and addresses[0] != address:
            found.append(invalid("spec.clusterIPs", addresses, "first value must match `clusterIP`"))
    for index, external in enumerate(spec.get("externalIPs", ())):
        if not _is_address(external):
            found.append(invalid(f"spec.externalIPs[{index}]", external, _ADDRESS_WRONG))
    return found


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _validate_ports(service: Document, ports: list[Document], path: str) -> list[Cause]:
    found = []
    names, numbers = set(), set()
    kind = service["spec"]["type"]
    for index, port in enumerate(ports):
        here, name = f"{path}[{index}]", port.get("name", "")
        if not name and len(ports) > 1:
            found.append(required(f"{here}.name"))
        elif name:
            found += each_invalid(f"{here}.name", name, dns_label_faults(name))
            if name in names:
                found.append(duplicate(f"{here}.name", name))
        found += port_number(f"{here}.port", port.get("port", 0))
        found += one_of(f"{here}.protocol", port["protocol"], PROTOCOLS)
        if service["spec"].get("clusterIP") != HEADLESS:
            found += validate_port_reference(port["targetPort"], f"{here}.targetPort")
        if kind in ("ClusterIP", "ExternalName") and port.get("nodePort"):
            found.append(forbidden(f"{here}.nodePort", f"may not be used when `type` is '{kind}'"))
        if _port_key(port) in numbers:
            found.append(duplicate(here, {"protocol": port["protocol"], "port": port.get("port", 0)}))
        names.add(name)
        numbers.add(_port_key(port))
    return found


def validate_service_update(new: Document, old: Document) -> list[Cause]:
    """Causes for changes: the address stays as long as the Service has one."""
    address, before = new["spec"].get("clusterIP"), old.get("spec", {}).get("clusterIP")
    both = new["spec"]["type"] != "ExternalName" and old.get("spec", {}).get("type") != "ExternalName"
    if both and before and address != before:
        return [invalid("spec.clusterIPs[0]", [address], "may not change once set")]
    return []
