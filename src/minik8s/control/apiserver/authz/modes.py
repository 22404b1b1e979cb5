"""The modes of --authorization-mode, and the chain they make. Called by `core`."""

from collections.abc import Sequence

from minik8s.control.apiserver.authz.attributes import Authorizer
from minik8s.control.apiserver.authz.chain import AlwaysAllow, AlwaysDeny, Chain
from minik8s.control.apiserver.authz.table import Table

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


def build(modes: Sequence[str]) -> Chain:
    """The authorizer of an apiserver."""
    authorizers: list[Authorizer] = []
    for mode in modes:
        match mode:
            case "AlwaysAllow":
                authorizers.append(AlwaysAllow())
            case "AlwaysDeny":
                authorizers.append(AlwaysDeny())
            case "RBAC":
                authorizers.append(Table())
    return Chain(authorizers)
