"""What the proxy should do: Services and EndpointSlices in, a table of addresses and where each leads out. Pure.

Which endpoints count is upstream's rule: the ready ones; if there is none, those that still serve while they end.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from minik8s.api.core_v1 import Service
from minik8s.api.discovery_v1 import EndpointSlice

SERVICE_NAME = "kubernetes.io/service-name"
AFFINITY_S = 10800  # where the Service does not say, as upstream


@dataclass(frozen=True, slots=True, order=True)
class Frontend:
    """An address clients connect to."""

    ip: str
    port: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address a program listens on."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Where connections to a frontend go; nowhere, and refused, if there are no endpoints."""

    service: str  # namespace/name:port, for logs
    endpoints: tuple[Endpoint, ...]
    affinity_s: int = 0  # how long a client keeps its endpoint; 0: each connection may go elsewhere


Rules = dict[Frontend, Rule]


def render_rules(services: Iterable[Service], slices: Iterable[EndpointSlice], *, node_ports_ip: str = "") -> Rules:
    """The whole table. NodePorts are served on `node_ports_ip`, or not at all if it is empty."""
    slices_of: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
    for endpoint_slice in slices:
        meta = endpoint_slice.metadata
        if meta and (name := (meta.labels or {}).get(SERVICE_NAME)):
            slices_of[meta.namespace or "", name].append(endpoint_slice)
    rules: Rules = {}
    for service in services:
        assert service.metadata is not None
        place = (service.metadata.namespace or "", service.metadata.name or "")
        rules |= _service_rules(service, slices_of[place], node_ports_ip)
    return rules


def _service_rules(service: Service, slices: list[EndpointSlice], node_ports_ip: str) -> Rules:
    spec, meta = service.spec, service.metadata
    if spec is None or meta is None or spec.type == "ExternalName" or not _is_address(spec.clusterIP):
        return {}
    affinity_s = 0
    if spec.sessionAffinity == "ClientIP":
        config = spec.sessionAffinityConfig and spec.sessionAffinityConfig.clientIP
        affinity_s = (config and config.timeoutSeconds) or AFFINITY_S
    rules: Rules = {}
    for port in spec.ports or ():
        protocol = port.protocol or "TCP"
        name = f"{meta.namespace}/{meta.name}" + (f":{port.name}" if port.name else "")
        rule = Rule(name, endpoints_of(slices, port.name or "", protocol), affinity_s)
        for ip in spec.clusterIPs or [spec.clusterIP]:
            rules[Frontend(ip, port.port, protocol)] = rule
        for ip in spec.externalIPs or ():
            rules[Frontend(ip, port.port, protocol)] = rule
        if port.nodePort and node_ports_ip:
            rules[Frontend(node_ports_ip, port.nodePort, protocol)] = rule
    return rules


def endpoints_of(slices: Iterable[EndpointSlice], port_name: str, protocol: str) -> tuple[Endpoint, ...]:
    """The endpoints of one port of a Service, sorted, each once."""
    ready: set[Endpoint] = set()
    ending: set[Endpoint] = set()
    for endpoint_slice in slices:
        for port in endpoint_slice.ports or ():
            if (port.name or "") != port_name or (port.protocol or "TCP") != protocol or not port.port:
                continue
            for endpoint in endpoint_slice.endpoints or ():
                conditions = endpoint.conditions
                found = {Endpoint(address, port.port) for address in endpoint.addresses[:1]}
                # Unknown readiness counts as ready, as the API defines it.
                if conditions is None or conditions.ready is not False:
                    ready |= found
                elif conditions.serving and conditions.terminating:
                    ending |= found
    return tuple(sorted(ready or ending))


def _is_address(cluster_ip: str | None) -> bool:
    return cluster_ip not in (None, "", "None")
