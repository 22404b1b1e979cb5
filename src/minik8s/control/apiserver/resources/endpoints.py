"""Endpoints: the addresses behind a Service, all in one object; EndpointSlices are what is used today."""

from ipaddress import ip_address
from typing import Any

from minik8s.api.core_v1 import Endpoints
from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults
from minik8s.control.apiserver.causes import each_invalid, invalid, one_of, port_number, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.container import PROTOCOLS
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.specialip import special_ip_faults

_SHOWN = 3


def _default(endpoints: Document) -> None:
    for subset in endpoints.get("subsets", ()):
        for port in subset.get("ports", ()):
            port["protocol"] = port.get("protocol") or "TCP"


def _validate(endpoints: Document) -> list[Cause]:
    found = []
    for index, subset in enumerate(endpoints.get("subsets", ())):
        path = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            found.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for part in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(part, ())):
                found += _validate_address(address.get("ip", ""), f"{path}.{part}[{place}].ip")
        ports = subset.get("ports", [])
        for place, port in enumerate(ports):
            found += _validate_port(port, f"{path}.ports[{place}]", needs_name=len(ports) > 1)
    return found


def _validate_address(text: str, path: str) -> list[Cause]:
    try:
        ip_address(text)
    except ValueError:
        return [invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return each_invalid(path, text, special_ip_faults(text))


def _validate_port(port: Document, path: str, *, needs_name: bool) -> list[Cause]:
    name = port.get("name", "")
    found = [required(f"{path}.name")] if needs_name and not name else []
    found += each_invalid(f"{path}.name", name, dns_label_faults(name)) if name else []
    found += port_number(f"{path}.port", port.get("port", 0))
    return found + one_of(f"{path}.protocol", port.get("protocol", ""), PROTOCOLS)


def _addresses(endpoints: Document) -> str:
    """The first few, as `host:port`."""
    found = []
    for subset in endpoints.get("subsets", ()):
        addresses = [address.get("ip", "") for address in subset.get("addresses", ())]
        ports = subset.get("ports", ())
        found += [_joined(address, port.get("port", 0)) for port in ports for address in addresses]
        found += [] if ports else addresses
    if len(found) > _SHOWN:
        return f"{','.join(found[:_SHOWN])} + {len(found) - _SHOWN} more..."
    return ",".join(found) or NONE


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _row(endpoints: Document, now_s: float) -> list[Any]:
    return [endpoints["metadata"]["name"], _addresses(endpoints), age(endpoints, now_s)]


ENDPOINTS = Resource(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    namespaced=True,
    model=Endpoints,
    storage_prefix="services/endpoints",
    short_names=("ep",),
    columns=(NAME, Column("Endpoints", description="The first few addresses."), AGE),
    row=_row,
    default=_default,
    validate=_validate,
    validate_name=subdomain_name,
    deprecated="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
