"""ConfigMap: configuration as keys and values."""

from typing import Any

from minik8s.api.core_v1 import ConfigMap
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME


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
)
