"""PersistentVolume: storage that outlives pods, offered to claims."""

from typing import Any

from minik8s.api.core_v1 import PersistentVolume
from minik8s.api.errors import Cause
from minik8s.api.names import dns_subdomain_faults
from minik8s.api.quantity import parse
from minik8s.control.apiserver.causes import (
    each_invalid,
    forbidden,
    immutable,
    invalid,
    not_supported,
    one_of,
    required,
)
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status

ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
VOLUME_MODES = ("Block", "Filesystem")
UNSET = "<unset>"
_RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_SOURCES = frozenset(
    {
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "csi",
        "fc",
        "flexVolume",
        "flocker",
        "gcePersistentDisk",
        "glusterfs",
        "hostPath",
        "iscsi",
        "local",
        "nfs",
        "photonPersistentDisk",
        "portworxVolume",
        "quobyte",
        "rbd",
        "scaleIO",
        "storageos",
        "vsphereVolume",
    }
)


def _default(volume: Document) -> None:
    spec = volume.setdefault("spec", {})
    spec["persistentVolumeReclaimPolicy"] = spec.get("persistentVolumeReclaimPolicy") or "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")


def _prepare_create(volume: Document) -> None:
    volume["status"] = {"phase": "Pending"}
    if created := volume["metadata"].get("creationTimestamp"):
        volume["status"]["lastPhaseTransitionTime"] = created


def _validate(volume: Document) -> list[Cause]:
    spec = volume["spec"]
    found = validate_access_modes(spec.get("accessModes", []), "spec.accessModes")
    capacity = spec.get("capacity", {})
    if not capacity:
        found.append(required("spec.capacity"))
    elif set(capacity) != {"storage"}:
        found.append(not_supported("spec.capacity", capacity, ["storage"]))
    for name, amount in capacity.items():
        if parse(amount) <= 0:
            found.append(invalid(f"spec.capacity[{name}]", amount, "must be greater than zero"))
    found += one_of("spec.persistentVolumeReclaimPolicy", spec["persistentVolumeReclaimPolicy"], _RECLAIM_POLICIES)
    found += one_of("spec.volumeMode", spec["volumeMode"], VOLUME_MODES)
    sources = [name for name in spec if name in _SOURCES]
    if not sources:
        found.append(required("spec", "must specify a volume type"))
    found += [forbidden(f"spec.{name}", "may not specify more than 1 volume type") for name in sources[1:]]
    if name := spec.get("storageClassName"):
        found += each_invalid("spec.storageClassName", name, dns_subdomain_faults(name))
    return found


def validate_access_modes(modes: list[str], path: str) -> list[Cause]:
    """Causes for the ways a volume may be, or is to be, mounted."""
    if not modes:
        return [required(path, "at least 1 access mode is required" if path.startswith("spec") else "")]
    found = [cause for mode in modes for cause in one_of(path, mode, ACCESS_MODES)]
    if "ReadWriteOncePod" in modes and len(set(modes)) > 1:
        found.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    sources = [{name: source for name, source in each["spec"].items() if name in _SOURCES} for each in (new, old)]
    found = []
    if sources[0] != sources[1]:
        where = "spec.persistentvolumesource"
        found.append(forbidden(where, f"{where} is immutable after creation"))
    return found + immutable("spec.volumeMode", new["spec"]["volumeMode"], old["spec"].get("volumeMode", "Filesystem"))


def access_modes_cell(modes: list[str]) -> str:
    """`RWO,ROX`: each mode once, in the order of the table above."""
    return ",".join(short for mode, short in ACCESS_MODES.items() if mode in modes)


def _row(volume: Document, now_s: float) -> list[Any]:
    spec, status = volume.get("spec", {}), volume.get("status", {})
    claim = spec.get("claimRef")
    is_going = "deletionTimestamp" in volume["metadata"]
    return [
        volume["metadata"]["name"],
        spec.get("capacity", {}).get("storage", "0"),
        access_modes_cell(spec.get("accessModes", [])),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if is_going else status.get("phase", ""),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", UNSET),
        status.get("reason", ""),
        age(volume, now_s),
        spec.get("volumeMode", UNSET),
    ]


PERSISTENTVOLUMES = Resource(
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    namespaced=False,
    model=PersistentVolume,
    storage_prefix="persistentvolumes",
    short_names=("pv",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Capacity", description="How much fits."),
        Column("Access Modes", description="How it may be mounted."),
        Column("Reclaim Policy", description="What becomes of it when its claim goes."),
        Column("Status", description="Whether a claim has it."),
        Column("Claim", description="The claim that has it."),
        Column("StorageClass", description="The class it belongs to."),
        Column("VolumeAttributesClass", description="The class of its attributes."),
        Column("Reason", description="Why it is as it is."),
        AGE,
        Column("VolumeMode", priority=1, description="A file system, or a block device."),
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
