"""Ingress: which Service answers for a host and path from outside."""

from ipaddress import ip_address
from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import dns_1035_label_faults, dns_subdomain_faults, port_name_faults
from minik8s.api.networking_v1 import Ingress
from minik8s.control.apiserver.causes import each_invalid, invalid, not_supported, port_number, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_FORBIDDEN_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_FORBIDDEN_ENDS = ("/..", "/.")
_HOSTS_SHOWN = 3


def _default(ingress: Document) -> None:
    ingress.setdefault("spec", {})


def _prepare_create(ingress: Document) -> None:
    ingress["status"] = {"loadBalancer": {}}


def _validate(ingress: Document) -> list[Cause]:
    spec = ingress["spec"]
    rules, default = spec.get("rules", []), spec.get("defaultBackend")
    found = []
    if not rules and default is None:
        found.append(invalid("spec", rules, "either `defaultBackend` or `rules` must be specified"))
    if default is not None:
        found += _validate_backend(default, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        found += _validate_rule(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls", ())):
        for place, host in enumerate(tls.get("hosts", ())):
            found += _validate_host(host, f"spec.tls[{index}].hosts[{place}]")
        if name := tls.get("secretName"):
            found += each_invalid(f"spec.tls[{index}].secretName", name, dns_subdomain_faults(name))
    if "ingressClassName" in spec:
        name = spec["ingressClassName"]
        found += each_invalid("spec.ingressClassName", name, dns_subdomain_faults(name))
    return found


def _validate_rule(rule: Document, path: str) -> list[Cause]:
    found = []
    if host := rule.get("host"):
        if _is_address(host):
            found.append(invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        found += _validate_host(host, f"{path}.host")
    if "http" not in rule:
        return found
    paths = rule["http"].get("paths", [])
    if not paths:
        found.append(required(f"{path}.http.paths"))
    for index, item in enumerate(paths):
        found += _validate_path(item, f"{path}.http.paths[{index}]")
    return found


def _validate_host(host: str, path: str) -> list[Cause]:
    return each_invalid(path, host, dns_subdomain_faults(host.removeprefix("*.")))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _validate_path(item: Document, path: str) -> list[Cause]:
    kind, text = item.get("pathType", ""), item.get("path", "")
    if not kind:
        return [required(f"{path}.pathType", "pathType must be specified")]
    found = []
    if kind not in _PATH_TYPES:
        found.append(not_supported(f"{path}.pathType", kind, _PATH_TYPES))
    elif kind != "ImplementationSpecific":
        if not text.startswith("/"):
            found.append(invalid(f"{path}.path", text, "must be an absolute path"))
        for part in _FORBIDDEN_IN_PATHS:
            if part in text:
                found.append(invalid(f"{path}.path", text, f"must not contain '{part}'"))
        for end in _FORBIDDEN_ENDS:
            if text.endswith(end):
                found.append(invalid(f"{path}.path", text, f"cannot end with '{end}'"))
    elif text and not text.startswith("/"):
        found.append(invalid(f"{path}.path", text, "must be an absolute path"))
    return found + _validate_backend(item.get("backend", {}), f"{path}.backend")


def _validate_backend(backend: Document, path: str) -> list[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return [required(f"{path}.resource.{field}") for field in ("kind", "name") if not resource.get(field)]
    if service is None:
        return [required(path, "must specify a service or a resource backend")]
    name, port = service.get("name", ""), service.get("port", {})
    here = f"{path}.service"
    found = each_invalid(f"{here}.name", name, dns_1035_label_faults(name)) if name else [required(f"{here}.name")]
    if port.get("name") and port.get("number"):
        found.append(invalid(path, "", "cannot set both port name & port number"))
    elif port.get("name"):
        found += each_invalid(f"{here}.port.name", port["name"], port_name_faults(port["name"]))
    elif port.get("number"):
        found += port_number(f"{here}.port.number", port["number"])
    else:
        found.append(required(path, "port name or number is required"))
    return found


def _hosts(rules: list[Document]) -> str:
    hosts = [rule.get("host") or "*" for rule in rules]
    if len(hosts) > _HOSTS_SHOWN:
        return f"{','.join(hosts[:_HOSTS_SHOWN])} + {len(hosts) - _HOSTS_SHOWN} more..."
    return ",".join(hosts) or "*"


def _row(ingress: Document, now_s: float) -> list[Any]:
    spec = ingress.get("spec", {})
    given = ingress.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    return [
        ingress["metadata"]["name"],
        spec.get("ingressClassName", NONE),
        _hosts(spec.get("rules", [])),
        ",".join(item.get("ip") or item.get("hostname", "") for item in given),
        "80, 443" if spec.get("tls") else "80",
        age(ingress, now_s),
    ]


INGRESSES = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="Ingress",
    plural="ingresses",
    namespaced=True,
    model=Ingress,
    storage_prefix="ingress",
    short_names=("ing",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Class", description="Who is to serve it."),
        Column("Hosts", description="The hosts it is about."),
        Column("Address", description="Where it is served."),
        Column("Ports", description="80, and 443 with TLS."),
        AGE,
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_name=subdomain_name,
)
