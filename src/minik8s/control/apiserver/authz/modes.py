"""The modes of --authorization-mode, and the chain they make. Called by `core`."""

from collections.abc import Sequence

from minik8s.control.apiserver.authz.chain import AlwaysAllow, AlwaysDeny, Chain, Mode
from minik8s.control.apiserver.authz.node import NodeAuthorizer
from minik8s.control.apiserver.authz.node_graph import NodeGraph
from minik8s.control.apiserver.authz.rbac import Policy, RbacAuthorizer
from minik8s.control.apiserver.watchcache import WatchCache

MODES = ("Node", "RBAC", "Webhook", "AlwaysAllow", "AlwaysDeny")
DEFAULT_MODES = ("Node", "RBAC")


def parse(text: str) -> tuple[str, ...]:
    """The modes that a flag lists. Raises ValueError."""
    modes = tuple(text.split(","))
    for mode in modes:
        if mode not in MODES:
            raise ValueError(f'"{mode}" is not a mode; choose of {", ".join(MODES)}')
        if modes.count(mode) > 1:
            raise ValueError(f'"{mode}" is given twice')
    return modes


def build(modes: Sequence[str], cache: WatchCache, policy: Policy, webhook: Mode | None = None) -> Chain:
    """The authorizer of an apiserver; `policy` is that of mode RBAC, `webhook` whom mode Webhook asks."""
    authorizers: list[Mode] = []
    for mode in modes:
        match mode:
            case "AlwaysAllow":
                authorizers.append(AlwaysAllow())
            case "AlwaysDeny":
                authorizers.append(AlwaysDeny())
            case "Node":
                authorizers.append(NodeAuthorizer(NodeGraph(cache)))
            case "Webhook":
                assert webhook is not None
                authorizers.append(webhook)
            case "RBAC":
                authorizers.append(RbacAuthorizer(policy))
    return Chain(authorizers)
