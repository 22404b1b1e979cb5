"""Addresses of Services: picked at random on create, made exclusive by claims in the commit.

Runs last in the admission chain. Nothing is remembered here and no list of what is taken is read: a pick is a guess,
the transaction that commits the Service also creates a key per address (`Resource.claims`), and a guess that was taken
is guessed again. So apiservers need no agreement, and an address never outlives its Service.
"""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from random import Random

from minik8s.api import errors
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.causes import invalid
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.servicespec import has_cluster_ip, wants_node_ports

NODE_PORTS = range(30000, 32768)


class ServiceAddresses(Plugin):
    """Fills in clusterIP, clusterIPs and the nodePorts that a Service wants and did not name."""

    def __init__(self, *, service_cidr: str, random: Random, node_ports: range = NODE_PORTS) -> None:
        self._network: IPv4Network | IPv6Network = ip_network(service_cidr)
        self._random = random
        self._node_ports = node_ports

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """On create, and on an update that turns the Service into one that has addresses."""
        if not attributes.writes("services"):
            return
        spec = document.setdefault("spec", {})
        if has_cluster_ip(document) and not spec.get("clusterIP"):
            spec["clusterIP"] = self._address()
        if has_cluster_ip(document):
            spec["clusterIPs"] = [spec["clusterIP"]]
            spec.setdefault("ipFamilies", ["IPv6" if ":" in spec["clusterIP"] else "IPv4"])
            spec.setdefault("ipFamilyPolicy", "SingleStack")
        if wants_node_ports(document):
            self._fill_node_ports(spec.get("ports", []))

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """What a client asked for must be ours to give."""
        if not attributes.writes("services"):
            return
        spec, before = document["spec"], (attributes.old or {}).get("spec", {})
        causes = []
        address = spec.get("clusterIP", "")
        if has_cluster_ip(document) and address != before.get("clusterIP") and not self._has(address):
            why = (
                f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. "
                f"The range of valid IPs is {self._network}"
            )
            causes.append(invalid("spec.clusterIPs", [address], why))
        for index, port in enumerate(spec.get("ports", ())):
            number = port.get("nodePort", 0)
            if number and number not in self._node_ports:
                first, last = self._node_ports[0], self._node_ports[-1]
                why = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
                causes.append(invalid(f"spec.ports[{index}].nodePort", number, why))
        if causes:
            raise errors.invalid("Service", "", attributes.name, causes)

    def _has(self, address: str) -> bool:
        return ip_address(address) in self._network

    def _address(self) -> str:
        """Any but the first (the service `kubernetes` asks for it by name) and the network's own two."""
        offset = self._random.randrange(2, max(3, self._network.num_addresses - 1))
        return str(self._network[offset])

    def _fill_node_ports(self, ports: list[Document]) -> None:
        taken = {port["nodePort"] for port in ports if port.get("nodePort")}
        for port in ports:
            if not port.get("nodePort"):
                free = self._random.choice(self._node_ports)
                while free in taken and len(taken) < len(self._node_ports):
                    free = self._random.choice(self._node_ports)
                port["nodePort"] = free
                taken.add(free)
