"""EndpointSlice: a part of the addresses behind a Service."""

from ipaddress import ip_address
from typing import Any

from minik8s.api.discovery_v1 import EndpointSlice
from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults, dns_subdomain_faults
from minik8s.control.apiserver.causes import (
    duplicate,
    each_invalid,
    immutable,
    one_of,
    port_number,
    required,
    too_many,
)
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, limited
from minik8s.control.apiserver.resources.container import PROTOCOLS
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.specialip import special_ip_faults

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
ENDPOINTS_MAX, ADDRESSES_MAX, PORTS_MAX = 1000, 100, 20000


def _default(endpointslice: Document) -> None:
    for port in endpointslice.get("ports", ()):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _validate(endpointslice: Document) -> list[Cause]:
    kind = endpointslice.get("addressType", "")
    found = one_of("addressType", kind, ADDRESS_TYPES) if kind else [required("addressType")]
    endpoints = endpointslice.get("endpoints", [])
    if len(endpoints) > ENDPOINTS_MAX:
        found.append(too_many("endpoints", len(endpoints), ENDPOINTS_MAX))
    for index, endpoint in enumerate(endpoints):
        found += _validate_endpoint(endpoint, kind, f"endpoints[{index}]")
    return found + _validate_ports(endpointslice.get("ports", []), "ports")


def _validate_endpoint(endpoint: Document, kind: str, path: str) -> list[Cause]:
    addresses = endpoint.get("addresses", [])
    if not addresses:
        return [required(f"{path}.addresses", "must contain at least 1 address")]
    if len(addresses) > ADDRESSES_MAX:
        return [too_many(f"{path}.addresses", len(addresses), ADDRESSES_MAX)]
    found = []
    for index, address in enumerate(addresses):
        found += each_invalid(f"{path}.addresses[{index}]", address, _address_faults(address, kind))
    if name := endpoint.get("nodeName"):
        found += each_invalid(f"{path}.nodeName", name, dns_subdomain_faults(name))
    if name := endpoint.get("hostname"):
        found += each_invalid(f"{path}.hostname", name, dns_label_faults(name))
    return found


def _address_faults(address: str, kind: str) -> list[str]:
    if kind == "FQDN":
        return dns_subdomain_faults(address)
    try:
        version = ip_address(address).version
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    faults = [f"must be an {kind} address"] if kind in ADDRESS_TYPES and kind != f"IPv{version}" else []
    return faults + special_ip_faults(address)


def _validate_ports(ports: list[Document], path: str) -> list[Cause]:
    found = [too_many(path, len(ports), PORTS_MAX)] if len(ports) > PORTS_MAX else []
    names = set()
    for index, port in enumerate(ports):
        here, name = f"{path}[{index}]", port.get("name", "")
        if name:
            found += each_invalid(f"{here}.name", name, dns_label_faults(name))
        if name in names:
            found.append(duplicate(f"{here}.name", name))
        names.add(name)
        found += one_of(f"{here}.protocol", port.get("protocol", ""), PROTOCOLS)
        if "port" in port:
            found += port_number(f"{here}.port", port["port"])
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("addressType", new.get("addressType", ""), old.get("addressType", ""))


def _row(endpointslice: Document, now_s: float) -> list[Any]:
    ports = [str(port.get("port") or port.get("name") or "*") for port in endpointslice.get("ports", ())]
    addresses = [
        address for endpoint in endpointslice.get("endpoints", ()) for address in endpoint.get("addresses", ())
    ]
    return [
        endpointslice["metadata"]["name"],
        endpointslice.get("addressType", ""),
        limited(ports),
        limited(addresses),
        age(endpointslice, now_s),
    ]


ENDPOINTSLICES = Resource(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    namespaced=True,
    model=EndpointSlice,
    storage_prefix="endpointslices",
    columns=(
        NAME,
        Column("AddressType", description="IPv4, IPv6 or FQDN."),
        Column("Ports", description="The ports that every endpoint serves."),
        Column("Endpoints", description="The first few addresses."),
        AGE,
    ),
    row=_row,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
