"""Pod addresses: which one comes next. Pure; the records in state.py are what is taken."""

import ipaddress
from collections.abc import Container

from minik8s.node.runtime.errors import RuntimeFault, invalid


def parse_cidr(text: str) -> ipaddress.IPv4Network:
    """The node's pod CIDR. Raises RuntimeFault for what is no IPv4 network of at least four addresses."""
    try:
        network = ipaddress.ip_network(text.split(",")[0].strip())
    except ValueError as error:
        raise invalid(f'pod CIDR "{text}" is not an address range: {error}') from error
    if not isinstance(network, ipaddress.IPv4Network) or network.num_addresses < 4:
        raise invalid(f'pod CIDR "{text}": an IPv4 range of at least four addresses is needed')
    return network


def next_address(network: ipaddress.IPv4Network, taken: Container[str], last: str) -> str:
    """A free address, going round from the one after `last`, as CNI's host-local: reuse comes as late as possible.

    The first two (network, gateway) and the last (broadcast) are never handed out. Raises RuntimeFault when full.
    """
    first, count = int(network.network_address) + 2, network.num_addresses - 3
    start = 0
    if last and (address := ipaddress.ip_address(last)) in network:
        start = int(address) - first + 1
    for step in range(count):
        candidate = str(ipaddress.ip_address(first + (start + step) % count))
        if candidate not in taken:
            return candidate
    raise RuntimeFault("RESOURCE_EXHAUSTED", f"no IP addresses available in range set: {network}")
