"""CSIDriver: what a storage driver can do and wants to know."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import dns_subdomain_faults
from minik8s.api.storage_v1 import CSIDriver
from minik8s.control.apiserver.causes import each_invalid, immutable, one_of, too_long
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

_DEFAULTS = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}
_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_NAME_BYTES_MAX = 63


def driver_name_faults(name: str, path: str) -> list[Cause]:
    """Causes for the name of a driver."""
    found = [too_long(path, _NAME_BYTES_MAX)] if len(name) > _NAME_BYTES_MAX else []
    return found + each_invalid(path, name, dns_subdomain_faults(name.lower()))


def _default(driver: Document) -> None:
    spec = driver.setdefault("spec", {})
    for name, value in _DEFAULTS.items():
        spec.setdefault(name, value)
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def _validate(driver: Document) -> list[Cause]:
    spec = driver["spec"]
    found = driver_name_faults(driver["metadata"].get("name", ""), "metadata.name")
    found += one_of("spec.fsGroupPolicy", spec["fsGroupPolicy"], _POLICIES)
    for mode in spec["volumeLifecycleModes"]:
        found += one_of("spec.volumeLifecycleModes", mode, ("Ephemeral", "Persistent"))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    spec, before = new["spec"], old.get("spec", {})
    found = immutable("spec.attachedRequired", spec["attachRequired"], before.get("attachRequired"))
    modes = "volumeLifecycleModes"
    return found + immutable(f"spec.{modes}", spec[modes], before.get(modes))


def _row(driver: Document, now_s: float) -> list[Any]:
    spec = driver.get("spec", {})
    audiences = [request.get("audience", "") for request in spec.get("tokenRequests", ())]
    return [
        driver["metadata"]["name"],
        bool(spec.get("attachRequired", True)),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        ",".join(audiences) or "<unset>",
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes", ())) or "<none>",
        age(driver, now_s),
    ]


CSIDRIVERS = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    model=CSIDriver,
    storage_prefix="csidrivers",
    columns=(
        NAME,
        Column("AttachRequired", "boolean", description="Whether volumes are attached before they are mounted."),
        Column("PodInfoOnMount", "boolean", description="Whether the driver is told about the pod."),
        Column("StorageCapacity", "boolean", description="Whether its capacity is to be looked at."),
        Column("TokenRequests", description="For whom it wants tokens of the pod's account."),
        Column("RequiresRepublish", "boolean", description="Whether it wants to be called again and again."),
        Column("Modes", description="How long its volumes live."),
        AGE,
    ),
    row=_row,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
