"""Volumes of a pod: defaults and syntax."""

from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults
from minik8s.control.apiserver.causes import duplicate, each_invalid, forbidden, invalid, required
from minik8s.control.apiserver.resource import Document

_MODE = 0o644
# What must be said of a source for it to mean anything.
_REQUIRED = {
    "configMap": "name",
    "hostPath": "path",
    "nfs": "path",
    "persistentVolumeClaim": "claimName",
    "projected": "",
    "secret": "secretName",
}


def default_volume(volume: Document) -> None:
    """A volume of no stated kind is an empty directory; files are readable by all."""
    if len(volume) <= 1:
        volume["emptyDir"] = {}
    for source in ("configMap", "downwardAPI", "projected", "secret"):
        if source in volume:
            volume[source].setdefault("defaultMode", _MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    items = volume.get("downwardAPI", {}).get("items", [])
    for source in volume.get("projected", {}).get("sources", ()):
        items = items + source.get("downwardAPI", {}).get("items", [])
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    for item in items:
        if "fieldRef" in item:
            item["fieldRef"].setdefault("apiVersion", "v1")


def validate_volumes(volumes: list[Document], path: str) -> tuple[set[str], list[Cause]]:
    """(names that containers may mount, causes)."""
    found = []
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        here = f"{path}[{index}]"
        name = volume.get("name", "")
        if not name:
            found.append(required(f"{here}.name"))
        elif name in names:
            found.append(duplicate(f"{here}.name", name))
        else:
            found += each_invalid(f"{here}.name", name, dns_label_faults(name))
            names.add(name)
        found += _validate_source(volume, here)
    return names, found


def _validate_source(volume: Document, path: str) -> list[Cause]:
    sources = [name for name in volume if name != "name"]
    if not sources:
        return [required(path, "must specify a volume type")]
    found = [forbidden(f"{path}.{name}", "may not specify more than 1 volume type") for name in sources[1:]]
    source = volume[sources[0]]
    needed = _REQUIRED.get(sources[0])
    if needed and not source.get(needed):
        found.append(required(f"{path}.{sources[0]}.{needed}"))
    mode = source.get("defaultMode")
    if mode is not None and not 0 <= mode <= 0o777:
        why = "must be a number between 0 and 0777 (octal), both inclusive"
        found.append(invalid(f"{path}.{sources[0]}.defaultMode", mode, why))
    return found
