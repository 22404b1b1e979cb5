"""fieldRef and resourceFieldRef: what a pod may know of itself, in variables and in downwardAPI files. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from minik8s.api import quantity
from minik8s.api.core_v1 import Pod, ResourceFieldSelector

_SUBSCRIPT = re.compile(r"metadata\.(annotations|labels)\['(.+)'\]")


class ConfigError(Exception):
    """What a pod asks for is not there, or not understood; shown as CreateContainerConfigError."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """What only the node knows of a pod."""

    pod_ip: str
    host_ip: str
    allocatable: Mapping[str, str]  # of the node: what a container without a limit may use


_FIELDS: dict[str, Callable[[Pod, Addresses], str | None]] = {
    "metadata.name": lambda pod, addresses: pod.metadata and pod.metadata.name,
    "metadata.namespace": lambda pod, addresses: pod.metadata and pod.metadata.namespace,
    "metadata.uid": lambda pod, addresses: pod.metadata and pod.metadata.uid,
    "metadata.labels": lambda pod, addresses: _lines(pod.metadata and pod.metadata.labels),
    "metadata.annotations": lambda pod, addresses: _lines(pod.metadata and pod.metadata.annotations),
    "spec.nodeName": lambda pod, addresses: pod.spec and pod.spec.nodeName,
    "spec.serviceAccountName": lambda pod, addresses: pod.spec and pod.spec.serviceAccountName,
    "status.hostIP": lambda pod, addresses: addresses.host_ip,
    "status.hostIPs": lambda pod, addresses: addresses.host_ip,
    "status.podIP": lambda pod, addresses: addresses.pod_ip,
    "status.podIPs": lambda pod, addresses: addresses.pod_ip,
}


def field(pod: Pod, path: str, addresses: Addresses) -> str:
    """The value of a fieldPath. Raises ConfigError."""
    if found := _SUBSCRIPT.fullmatch(path):
        values = (pod.metadata and getattr(pod.metadata, found[1])) or {}
        return str(values.get(found[2], ""))
    if path not in _FIELDS:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return _FIELDS[path](pod, addresses) or ""


def resource_field(pod: Pod, selector: ResourceFieldSelector, container_name: str, addresses: Addresses) -> str:
    """The value of a resourceFieldRef: a whole number of divisors, rounded up. Raises ConfigError."""
    kind, _, resource = selector.resource.partition(".")
    assert pod.spec is not None
    name = selector.containerName or container_name
    everyone = [*pod.spec.containers, *(pod.spec.initContainers or ())]
    container = next((found for found in everyone if found.name == name), None)
    if container is None or kind not in ("limits", "requests") or not resource:
        raise ConfigError(f"unsupported container resource: {selector.resource} of container {name!r}")
    amounts = (container.resources and getattr(container.resources, kind)) or {}
    fallback = addresses.allocatable.get(resource, "0") if kind == "limits" else "0"
    amount = quantity.parse(str(amounts.get(resource, fallback)))
    divisor = quantity.parse(str(selector.divisor or "1")) or 1
    return str(ceil(amount / divisor))


def _lines(values: Mapping[str, str] | None) -> str:
    """As downwardAPI files show labels: one `key="value"` a line, sorted."""
    quoted = (
        (key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for key, value in (values or {}).items()
    )
    return "\n".join(f'{key}="{value}"' for key, value in sorted(quoted))
