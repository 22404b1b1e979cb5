"""All libraries together. Built when the first expression is compiled."""

from collections.abc import Mapping
from functools import cache

from minik8s.control.apiserver.cel.functions import Overload, by_name


@cache
def functions() -> Mapping[str, tuple[Overload, ...]]:
    """Every function by its name."""
    from minik8s.control.apiserver.cel.authorization import AUTHORIZATION
    from minik8s.control.apiserver.cel.collections import COLLECTIONS
    from minik8s.control.apiserver.cel.kubernetes import KUBERNETES
    from minik8s.control.apiserver.cel.network import NETWORK
    from minik8s.control.apiserver.cel.standard import STANDARD
    from minik8s.control.apiserver.cel.strings import STRINGS
    from minik8s.control.apiserver.cel.times import TIMES

    return by_name(STANDARD, TIMES, STRINGS, COLLECTIONS, NETWORK, KUBERNETES, AUTHORIZATION)
