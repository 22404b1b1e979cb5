"""Node: a machine that pods run on."""

from typing import Any

from minik8s.api.core_v1 import Node
from minik8s.api.errors import Cause
from minik8s.api.names import label_key_faults, label_value_faults
from minik8s.control.apiserver.causes import duplicate, each_invalid, forbidden, one_of, required
from minik8s.control.apiserver.duration import UNKNOWN, age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podspec import EFFECTS
from minik8s.control.apiserver.resources.status import keep_status

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE_LABEL = "kubernetes.io/role"
_NODE_INFO = (
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
)

_COLUMNS = (
    NAME,
    Column("Status", description="Whether the kubelet is ready, and whether pods may come."),
    Column("Roles", description="What the labels say the node is for."),
    AGE,
    Column("Version", description="Version of the kubelet."),
    Column("Internal-IP", priority=1, description="Address within the cluster."),
    Column("External-IP", priority=1, description="Address from outside."),
    Column("OS-Image", priority=1, description="What the operating system calls itself."),
    Column("Kernel-Version", priority=1, description="Version of the kernel."),
    Column("Container-Runtime", priority=1, description="Name and version of the container runtime."),
)


def _status_word(node: Document) -> str:
    ready = [item for item in node.get("status", {}).get("conditions", ()) if item["type"] == "Ready"]
    words = [("Ready" if item["status"] == "True" else "NotReady") for item in ready] or ["Unknown"]
    if node.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(labels: dict[str, str]) -> str:
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)}
    roles.add(labels.get(_ROLE_LABEL, ""))
    return ",".join(sorted(roles - {""})) or NONE


def _address(node: Document, kind: str) -> str:
    addresses = node.get("status", {}).get("addresses", ())
    return next((address["address"] for address in addresses if address["type"] == kind), NONE)


def _row(node: Document, now_s: float) -> list[Any]:
    info = node.get("status", {}).get("nodeInfo", {})
    return [
        node["metadata"]["name"],
        _status_word(node),
        _roles(node["metadata"].get("labels", {})),
        age(node, now_s),
        info.get("kubeletVersion", ""),
        _address(node, "InternalIP"),
        _address(node, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _fields(node: Document) -> dict[str, str]:
    return {"spec.unschedulable": "true" if node.get("spec", {}).get("unschedulable") else "false"}


def _default(node: Document) -> None:
    node.setdefault("spec", {})
    status = node.setdefault("status", {})
    # What Go holds by value is always there.
    status.setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})
    status.setdefault("nodeInfo", dict.fromkeys(_NODE_INFO, ""))
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))


def _validate(node: Document) -> list[Cause]:
    found = []
    seen = set()
    for index, taint in enumerate(node.get("spec", {}).get("taints", ())):
        path = f"spec.taints[{index}]"
        key, value, effect = (taint.get(name, "") for name in ("key", "value", "effect"))
        found += each_invalid(f"{path}.key", key, label_key_faults(key))
        found += each_invalid(f"{path}.value", value, label_value_faults(value))
        found += one_of(f"{path}.effect", effect, EFFECTS) if effect else [required(f"{path}.effect")]
        if (key, effect) in seen:
            found.append(duplicate(path, taint))
        seen.add((key, effect))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    found = []
    for field, what in (("podCIDR", "podCIDR"), ("podCIDRs", "podCIDR"), ("providerID", "providerID")):
        before, after = old.get("spec", {}).get(field), new.get("spec", {}).get(field)
        if before and after != before:
            why = f'node updates may not change {what} except from "" to valid'
            found.append(forbidden(f"spec.{field}", why))
    return found


NODES = Resource(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    namespaced=False,
    model=Node,
    storage_prefix="minions",  # The name nodes had first, which upstream's keys keep.
    short_names=("no",),
    subresources=("proxy", "status"),
    columns=_COLUMNS,
    row=_row,
    default=_default,  # Nodes register with their status: creating one does not clear it.
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
    fields=_fields,
    field_names=("spec.unschedulable",),
)
