"""What the scheduler needs to know of a pod, computed once: its requests and host ports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minik8s.api import quantity
from minik8s.api.core_v1 import Pod

CPU = "cpu"
MEMORY = "memory"
PODS = "pods"

# As upstream: a container that asks for nothing still weighs this much when nodes are compared.
_SCORED_CPU_MILLI = 100
_SCORED_MEMORY = 200 * 1024 * 1024

Amounts = dict[str, int]
"""Resource → amount: cpu in thousandths, everything else in units."""


@dataclass(frozen=True, slots=True)
class PodInfo:
    """A pod and what it takes."""

    pod: Pod
    key: str
    uid: str
    requests: Amounts
    scored: Amounts  # cpu and memory, with a least weight for containers that ask for nothing
    host_ports: frozenset[tuple[str, str, int]]  # (address, protocol, port)


def pod_info(pod: Pod) -> PodInfo:
    """The PodInfo of a pod."""
    meta = pod.metadata
    assert meta is not None
    return PodInfo(
        pod,
        f"{meta.namespace}/{meta.name}",
        meta.uid or "",
        requests_of(pod),
        _scored(pod),
        frozenset(_host_ports(pod)),
    )


def requests_of(pod: Pod) -> Amounts:
    """As upstream's PodRequests: all containers together, or the largest init container if that is more; and overhead.

    Init containers that restart (sidecars) run beside everything after them.
    """
    assert pod.spec is not None
    total: Amounts = {}
    for container in pod.spec.containers:
        _add(total, amounts((container.resources and container.resources.requests) or {}))
    peak: Amounts = {}
    sidecars: Amounts = {}
    for container in pod.spec.initContainers or ():
        wanted = amounts((container.resources and container.resources.requests) or {})
        if container.restartPolicy == "Always":
            _add(sidecars, wanted)
            _add(total, wanted)
            moment = dict(sidecars)
        else:
            moment = dict(sidecars)
            _add(moment, wanted)
        _raise_to(peak, moment)
    _raise_to(total, peak)
    _add(total, amounts(pod.spec.overhead or {}))
    return total


def amounts(quantities: Mapping[str, Any]) -> Amounts:
    """Quantities as whole numbers."""
    return {
        name: quantity.milli(str(text)) if name == CPU else quantity.whole(str(text))
        for name, text in quantities.items()
    }


def _scored(pod: Pod) -> Amounts:
    assert pod.spec is not None
    total = {CPU: 0, MEMORY: 0}
    for container in pod.spec.containers:
        wanted = amounts((container.resources and container.resources.requests) or {})
        total[CPU] += wanted.get(CPU, _SCORED_CPU_MILLI)
        total[MEMORY] += wanted.get(MEMORY, _SCORED_MEMORY)
    return total


def _host_ports(pod: Pod) -> Iterable[tuple[str, str, int]]:
    assert pod.spec is not None
    for container in pod.spec.containers:
        for port in container.ports or ():
            if port.hostPort:
                yield (port.hostIP or "0.0.0.0", port.protocol or "TCP", port.hostPort)  # noqa: S104


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: Amounts, floor: Amounts) -> None:
    for name, amount in floor.items():
        total[name] = max(total.get(name, 0), amount)
