"""EndpointSlice: a part of the addresses behind a Service."""

from typing import Any

from minik8s.api.discovery_v1 import EndpointSlice
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, limited


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
)
