"""APIService: who answers a group and version: this server, or another behind a Service."""

from typing import Any

from lightkube.models.apiregistration_v1 import APIService

from minik8s.api.errors import Cause
from minik8s.api.names import dns_1035_label_faults, dns_subdomain_faults
from minik8s.control.apiserver.causes import invalid, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.policyrule import path_segment_name

AVAILABLE = "Available"
_GROUP_PRIORITY_MAX, _VERSION_PRIORITY_MAX = 20_000, 1_000


def condition(document: Document) -> Document | None:
    """Whether it is available, once somebody has looked."""
    conditions = document.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == AVAILABLE), None)


def _default(document: Document) -> None:
    service = document.get("spec", {}).get("service")
    if service is not None and not service.get("port"):
        service["port"] = 443


def _prepare_create(document: Document) -> None:
    document.pop("status", None)


def _validate(document: Document) -> list[Cause]:
    spec, metadata = document.get("spec", {}), document["metadata"]
    group, version = spec.get("group", ""), spec.get("version", "")
    found = []
    name = f"{version}.{group}"
    if metadata.get("name") != name:
        why = f"must be `spec.version+.+spec.group`: {name}"
        found.append(invalid("metadata.name", metadata.get("name", ""), why))
    if group and (faults := dns_subdomain_faults(group)):
        found.append(invalid("spec.group", group, ",".join(faults)))
    if faults := dns_1035_label_faults(version):
        found.append(invalid("spec.version", version, ",".join(faults)))
    for field, limit in (("groupPriorityMinimum", _GROUP_PRIORITY_MAX), ("versionPriority", _VERSION_PRIORITY_MAX)):
        value = spec.get(field, 0)
        if not 0 < value <= limit:
            found.append(invalid(f"spec.{field}", value, f"must be positive and less than {limit}"))
    return found + _service(spec)


def _service(spec: Document) -> list[Cause]:
    service = spec.get("service")
    if service is None:
        why = "local APIServices may not have"
        found = [invalid("spec.caBundle", "", f"{why} a caBundle")] if spec.get("caBundle") else []
        if spec.get("insecureSkipTLSVerify"):
            found.append(invalid("spec.insecureSkipTLSVerify", True, f"{why} insecureSkipTLSVerify"))
        return found
    found = [required(f"spec.service.{field}") for field in ("namespace", "name") if not service.get(field)]
    if not 0 < service.get("port", 443) < 65536:
        found.append(
            invalid("spec.service.port", service["port"], "port is not valid: must be between 1 and 65535, inclusive")
        )
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        found.append(invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present"))
    return found


def _row(document: Document, now_s: float) -> list[Any]:
    service = document.get("spec", {}).get("service")
    where = f"{service.get('namespace')}/{service.get('name')}" if service else "Local"
    found = condition(document)
    available = "Unknown" if found is None else found["status"]
    if found and available != "True" and found.get("reason"):
        available = f"{available} ({found['reason']})"
    return [document["metadata"]["name"], where, available, age(document, now_s)]


APISERVICES = Resource(
    group="apiregistration.k8s.io",
    version="v1",
    kind="APIService",
    plural="apiservices",
    namespaced=False,
    model=APIService,
    storage_prefix="apiregistration.k8s.io/apiservices",
    categories=("api-extensions",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Service", description="The Service behind which it is answered, or that it is answered here."),
        Column("Available", description="Whether it is answered, and if not, why."),
        AGE,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    validate=_validate,
    validate_name=path_segment_name,
)
