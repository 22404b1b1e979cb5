"""NodePorts: two pods on one node cannot have the same host port."""

from collections.abc import Sequence

from minik8s.control.scheduler.podinfo import PodInfo
from minik8s.control.scheduler.snapshot import NodeInfo

NAME = "NodePorts"

_ANY = "0.0.0.0"  # noqa: S104


def filter_node(info: PodInfo, node: NodeInfo) -> Sequence[str]:
    """Whether one of the pod's host ports is taken."""
    if not info.host_ports:
        return ()
    taken = {port for other in node.pods.values() for port in other.host_ports}
    for address, protocol, number in info.host_ports:
        for other_address, other_protocol, other_number in taken:
            same_port = (protocol, number) == (other_protocol, other_number)
            if same_port and (address == other_address or _ANY in (address, other_address)):
                return ("node(s) didn't have free ports for the requested pod ports",)
    return ()
