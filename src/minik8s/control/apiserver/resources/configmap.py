"""ConfigMap: configuration as keys and values."""

from typing import Any

from minik8s.api.core_v1 import ConfigMap
from minik8s.api.errors import Cause
from minik8s.api.names import config_key_faults
from minik8s.control.apiserver.causes import each_invalid, forbidden, invalid, too_long
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

SIZE_BYTES_MAX = 1024 * 1024


def _validate(configmap: Document) -> list[Cause]:
    found = []
    size_bytes = 0
    data, binary = configmap.get("data", {}), configmap.get("binaryData", {})
    for key, value in data.items():
        found += each_invalid(f"data[{key}]", key, config_key_faults(key))
        if key in binary:
            found.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size_bytes += len(value.encode())
    for key, value in binary.items():
        found += each_invalid(f"binaryData[{key}]", key, config_key_faults(key))
        size_bytes += len(value) * 3 // 4
    if size_bytes > SIZE_BYTES_MAX:
        found.append(too_long("[]", SIZE_BYTES_MAX))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    if not old.get("immutable"):
        return []
    fields = ("immutable", "data", "binaryData")
    why = "field is immutable when `immutable` is set"
    return [forbidden(field, why) for field in fields if new.get(field) != old.get(field)]


def _row(configmap: Document, now_s: float) -> list[Any]:
    size = len(configmap.get("data", ())) + len(configmap.get("binaryData", ()))
    return [configmap["metadata"]["name"], size, age(configmap, now_s)]


CONFIGMAPS = Resource(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    namespaced=True,
    model=ConfigMap,
    storage_prefix="configmaps",
    short_names=("cm",),
    columns=(NAME, Column("Data", description="How many keys there are."), AGE),
    row=_row,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
