"""A range of pod addresses for every node, cut from the cluster's. One key for all nodes, so no two get the same."""

import ipaddress
from collections.abc import Iterable

from minik8s.api.core_v1 import NODES, Node
from minik8s.client.controller import Writes
from minik8s.control.controllers.context import Context, Watch
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_ALL_NODES = "nodes"


def allocate(cluster_cidr: str, mask_size: int, nodes: Iterable[Node]) -> dict[str, str]:
    """Node name → podCIDR for the nodes that have none, as far as there are free ones; in order of names."""
    nodes = list(nodes)
    taken = {node.spec.podCIDR for node in nodes if node.spec and node.spec.podCIDR}
    waiting = sorted(node.metadata.name for node in nodes if not (node.spec and node.spec.podCIDR))
    if not waiting:
        return {}
    used = [ipaddress.ip_network(cidr) for cidr in taken]
    subnets = ipaddress.ip_network(cluster_cidr).subnets(new_prefix=mask_size)
    free = (subnet for subnet in subnets if not any(subnet.overlaps(one) for one in used))
    return {name: str(subnet) for name, subnet in zip(waiting, free, strict=False)}


def cidr_fault(cluster_cidr: str, mask_size: int) -> str | None:
    """What is wrong with a cluster's range."""
    try:
        network = ipaddress.ip_network(cluster_cidr)
    except ValueError as error:
        return str(error)
    if not network.prefixlen <= mask_size <= network.max_prefixlen:
        return f"{cluster_cidr} cannot be cut into parts of /{mask_size}"
    return None


class NodeIpamController:
    """One key: all nodes."""

    name = "nodeipam"

    def __init__(self, context: Context) -> None:
        self._cluster_cidr = context.config.cluster_cidr
        self._mask_size = context.config.node_cidr_mask_size
        self._nodes = context.informer(NODES)

    def watches(self) -> Iterable[Watch]:
        if not self._cluster_cidr:
            return ()
        return (Watch(NODES, lambda node: () if node.spec and node.spec.podCIDR else (_ALL_NODES,)),)

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        nodes = list(self._nodes.items.values())
        given = allocate(self._cluster_cidr, self._mask_size, nodes)
        without = [node for node in nodes if not (node.spec and node.spec.podCIDR)]
        for node in without:
            cidr = given.get(node.metadata.name)
            if cidr is None:
                log.error("no pod addresses left", node=node.metadata.name, cluster_cidr=self._cluster_cidr)
                return 60.0
            # Optimistic: a predecessor's write may still be under way.
            meta = {"resourceVersion": node.metadata.resourceVersion}
            patch = {"metadata": meta, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
            await writes.patch(NODES, node.metadata.name, patch)
        return None
