"""The Node object: what a kubelet says of its machine. Pure; heartbeat.py sends it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KUBELET_VERSION = "v1.36.0+minik8s"

Document = dict[str, Any]

# The other conditions of a Node; nothing here measures them yet, so they are never raised.
_PRESSURES = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What does not change while the kubelet runs."""

    name: str
    ip: str
    port: int
    capacity: Mapping[str, str]  # cpu, memory, pods, …
    kernel: str = ""
    os_image: str = ""
    architecture: str = "amd64"
    machine_id: str = ""
    boot_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Document] = ()

    def all_labels(self) -> dict[str, str]:
        """The labels every kubelet sets, and the operator's."""
        return {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": self.architecture,
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": self.architecture,
            **self.labels,
        }


def node_document(machine: Machine) -> Document:
    """The Node to create. A new node has the taint that keeps pods away until it is ready."""
    spec: Document = {}
    if machine.taints:
        spec["taints"] = list(machine.taints)
    return {"metadata": {"name": machine.name, "labels": machine.all_labels()}, "spec": spec}


def node_status(machine: Machine, runtime_version: str, conditions: list[Document]) -> Document:
    """The whole status."""
    return {
        "addresses": [
            {"type": "InternalIP", "address": machine.ip},
            {"type": "Hostname", "address": machine.name},
        ],
        "capacity": dict(machine.capacity),
        "allocatable": dict(machine.capacity),
        "conditions": conditions,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": machine.port}},
        "nodeInfo": {
            "architecture": machine.architecture,
            "bootID": machine.boot_id,
            "containerRuntimeVersion": runtime_version,
            "kernelVersion": machine.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": machine.machine_id,
            "operatingSystem": "linux",
            "osImage": machine.os_image,
            "systemUUID": machine.machine_id,
        },
    }


def node_conditions(problems: Sequence[str], former: Sequence[Document], now: str) -> list[Document]:
    """The conditions; Ready is true when there are no problems. A condition that did not change keeps its time."""
    ready = ("True", "KubeletReady", "kubelet is posting ready status")
    if problems:
        ready = ("False", "KubeletNotReady", "[" + ", ".join(problems) + "]" if len(problems) > 1 else problems[0])
    wanted = {type_: ("False", *texts) for type_, texts in _PRESSURES.items()} | {"Ready": ready}
    before = {condition["type"]: condition for condition in former}
    found = []
    for type_, (status, reason, message) in wanted.items():
        old = before.get(type_)
        changed = old["lastTransitionTime"] if old and old["status"] == status else now
        found.append(
            {
                "type": type_,
                "status": status,
                "lastHeartbeatTime": now,
                "lastTransitionTime": changed,
                "reason": reason,
                "message": message,
            }
        )
    return found


def has_changed(old: Document | None, new: Document) -> bool:
    """Whether a status says anything new, heartbeat times aside."""
    return old is None or _timeless(old) != _timeless(new)


def _timeless(status: Document) -> Document:
    conditions = [
        {key: value for key, value in condition.items() if key != "lastHeartbeatTime"}
        for condition in status["conditions"]
    ]
    return status | {"conditions": conditions}
