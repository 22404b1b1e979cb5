"""What a ResourceClaim and the template of one ask for: requests for devices."""

from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults
from minik8s.control.apiserver.causes import duplicate, each_invalid, invalid, one_of, required, too_many
from minik8s.control.apiserver.resource import Document

_ITEMS_MAX = 32


def default_devices(spec: Document) -> None:
    """One device of each sort, if no number is given."""
    for request in spec.get("devices", {}).get("requests", ()):
        for asked in _asked(request):
            asked.setdefault("allocationMode", "ExactCount")
            if asked["allocationMode"] == "ExactCount" and not asked.get("count"):
                asked["count"] = 1


def validate_devices(spec: Document, path: str) -> list[Cause]:
    """Causes for the requests of a claim."""
    requests = spec.get("devices", {}).get("requests", [])
    found = []
    if len(requests) > _ITEMS_MAX:
        found.append(too_many(f"{path}.devices.requests", len(requests), _ITEMS_MAX))
    names = set()
    for index, request in enumerate(requests):
        here, name = f"{path}.devices.requests[{index}]", request.get("name", "")
        found += each_invalid(f"{here}.name", name, dns_label_faults(name)) if name else [required(f"{here}.name")]
        if name in names:
            found.append(duplicate(here, name))
        names.add(name)
        if ("exactly" in request) == bool(request.get("firstAvailable")):
            why = "exactly one of `exactly` or `firstAvailable` is required"
            found.append(required(here, why) if "exactly" not in request else invalid(here, "", why))
        for asked in _asked(request):
            found += _validate_asked(asked, here)
    return found


def validate_selectors(selectors: list[Document], path: str) -> list[Cause]:
    """Causes for conditions on devices; their expressions are not evaluated."""
    found = [required(f"{path}[{index}].cel") for index, each in enumerate(selectors) if not each.get("cel")]
    if len(selectors) > _ITEMS_MAX:
        found.append(too_many(path, len(selectors), _ITEMS_MAX))
    return found


def _asked(request: Document) -> list[Document]:
    exactly = [request["exactly"]] if "exactly" in request else []
    return [*exactly, *request.get("firstAvailable", ())]


def _validate_asked(asked: Document, path: str) -> list[Cause]:
    found = [] if asked.get("deviceClassName") else [required(f"{path}.deviceClassName")]
    found += validate_selectors(asked.get("selectors", []), f"{path}.selectors")
    mode, count = asked.get("allocationMode", "ExactCount"), asked.get("count", 0)
    found += one_of(f"{path}.allocationMode", mode, ("All", "ExactCount"))
    if mode == "All" and count:
        found.append(invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'"))
    if mode == "ExactCount" and count <= 0:
        found.append(invalid(f"{path}.count", count, "must be greater than zero"))
    return found
