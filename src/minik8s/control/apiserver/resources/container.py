"""Containers of a pod: defaults and syntax."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults, env_name_faults, label_key_faults, port_name_faults
from minik8s.api.quantity import parse
from minik8s.control.apiserver.causes import (
    duplicate,
    each_invalid,
    forbidden,
    invalid,
    not_found,
    one_of,
    port_number,
    required,
)
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.probe import (
    HOOKS,
    PROBES,
    default_handler,
    default_probe,
    validate_handler,
    validate_probe,
)

PROTOCOLS = ("SCTP", "TCP", "UDP")
_STANDARD_RESOURCES = frozenset({"cpu", "memory", "ephemeral-storage"})
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def default_container(container: Document) -> None:
    """As kube-apiserver; an image without a tag, or with `latest`, is always pulled."""
    container.setdefault("resources", {})
    container["terminationMessagePath"] = container.get("terminationMessagePath") or "/dev/termination-log"
    container["terminationMessagePolicy"] = container.get("terminationMessagePolicy") or "File"
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = "Always" if _is_latest(container.get("image", "")) else "IfNotPresent"
    for port in container.get("ports", ()):
        port["protocol"] = port.get("protocol") or "TCP"
    for variable in container.get("env", ()):
        if reference := variable.get("valueFrom", {}).get("fieldRef"):
            reference["apiVersion"] = reference.get("apiVersion") or "v1"
    for name in PROBES:
        if name in container:
            default_probe(container[name])
    for name in HOOKS:
        if hook := container.get("lifecycle", {}).get(name):
            default_handler(hook)


def _is_latest(image: str) -> bool:
    _, at, _ = image.partition("@")
    if at:
        return False  # A digest names one image for ever.
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return not colon or tag == "latest"


def validate_containers(containers: list[Document], path: str, *, volumes: set[str], names: set[str]) -> list[Cause]:
    """Causes for a list of containers. `names` are those taken before in the same pod; these are added."""
    found = []
    for index, container in enumerate(containers):
        here = f"{path}[{index}]"
        name = container.get("name", "")
        if not name:
            found.append(required(f"{here}.name"))
        elif name in names:
            found.append(duplicate(f"{here}.name", name))
        else:
            found += each_invalid(f"{here}.name", name, dns_label_faults(name))
        names.add(name)
        found += _validate_container(container, here, volumes)
    return found


def _validate_container(container: Document, path: str, volumes: set[str]) -> list[Cause]:
    found = validate_image(container, path)
    policy = container.get("terminationMessagePolicy", "")
    found += one_of(f"{path}.terminationMessagePolicy", policy, ("File", "FallbackToLogsOnError"))
    policies = ("Always", "IfNotPresent", "Never")
    found += one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy", ""), policies)
    found += _validate_ports(container.get("ports", []), f"{path}.ports")
    found += _validate_env(container.get("env", []), f"{path}.env")
    found += _validate_mounts(container.get("volumeMounts", []), f"{path}.volumeMounts", volumes)
    found += validate_resources(container.get("resources", {}), f"{path}.resources")
    for name in PROBES:
        if name in container:
            found += validate_probe(name, container[name], f"{path}.{name}")
    for name in HOOKS:
        if hook := container.get("lifecycle", {}).get(name):
            found += validate_handler(hook, f"{path}.lifecycle.{name}")
    return found


def validate_image(container: Document, path: str) -> list[Cause]:
    """Causes for the image: it must be named."""
    image = container.get("image", "")
    if not image:
        return [required(f"{path}.image")]
    if image != image.strip():
        return [invalid(f"{path}.image", image, "must not have leading or trailing whitespace")]
    return []


def _validate_ports(ports: list[Document], path: str) -> list[Cause]:
    found = []
    names = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        if name := port.get("name", ""):
            found += each_invalid(f"{here}.name", name, port_name_faults(name))
            if name in names:
                found.append(duplicate(f"{here}.name", name))
            names.add(name)
        number = port.get("containerPort", 0)
        found += port_number(f"{here}.containerPort", number) if number else [required(f"{here}.containerPort")]
        if port.get("hostPort"):
            found += port_number(f"{here}.hostPort", port["hostPort"])
        found += one_of(f"{here}.protocol", port.get("protocol", ""), PROTOCOLS)
    return found


def validate_host_ports(containers: list[Document], path: str, *, host_network: bool) -> list[Cause]:
    """Causes for ports of the host that two containers of a pod want, or that its network cannot give."""
    found = []
    taken = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports", ())):
            here = f"{path}[{i}].ports[{j}]"
            host_port = port.get("hostPort", 0)
            if host_network and host_port != port.get("containerPort"):
                why = "must match `hostPort` when `hostNetwork` is true"
                found.append(invalid(f"{here}.containerPort", port.get("containerPort"), why))
            key = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{host_port}"
            if host_port and key in taken:
                found.append(duplicate(f"{here}.hostPort", key))
            taken.add(key)
    return found


def _validate_env(variables: list[Document], path: str) -> list[Cause]:
    found = []
    for index, variable in enumerate(variables):
        here = f"{path}[{index}]"
        name = variable.get("name", "")
        found += each_invalid(f"{here}.name", name, env_name_faults(name)) if name else [required(f"{here}.name")]
        source = variable.get("valueFrom")
        if source is not None:
            found += _validate_env_source(source, f"{here}.valueFrom", has_value=bool(variable.get("value")))
    return found


def _validate_env_source(source: Document, path: str, *, has_value: bool) -> list[Cause]:
    given = [name for name in _ENV_SOURCES if name in source]
    if not given:
        why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        return [invalid(path, "", why)]
    if has_value:
        return [invalid(path, "", "may not be specified when `value` is not empty")]
    if len(given) > 1:
        return [invalid(path, "", "may not have more than one field specified at a time")]
    what = {"fieldRef": "fieldPath", "resourceFieldRef": "resource"}.get(given[0], "key")
    reference = source[given[0]]
    return [] if reference.get(what) else [required(f"{path}.{given[0]}.{what}")]


def _validate_mounts(mounts: list[Document], path: str, volumes: set[str]) -> list[Cause]:
    found = []
    places = set()
    for index, mount in enumerate(mounts):
        here = f"{path}[{index}]"
        name, place = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            found.append(required(f"{here}.name"))
        elif name not in volumes:
            found.append(not_found(f"{here}.name", name))
        if not place:
            found.append(required(f"{here}.mountPath"))
        elif place in places:
            found.append(invalid(f"{here}.mountPath", place, "must be unique"))
        places.add(place)
        if mount.get("subPath") and mount.get("subPathExpr"):
            found.append(forbidden(f"{here}.subPathExpr", "subPathExpr and subPath are mutually exclusive"))
        for part in ("subPath", "subPathExpr"):
            found += _validate_relative_path(mount.get(part, ""), f"{here}.{part}")
    return found


def _validate_relative_path(text: str, path: str) -> list[Cause]:
    if text.startswith("/"):
        return [invalid(path, text, "must be a relative path")]
    if ".." in text.split("/"):
        return [invalid(path, text, "must not contain '..'")]
    return []


def validate_resources(resources: Document, path: str) -> list[Cause]:
    """Causes for requests and limits: known resources, nothing negative, no request beyond its limit."""
    found = []
    limits = resources.get("limits", {})
    for part in ("limits", "requests"):
        for name, amount in resources.get(part, {}).items():
            here = f"{path}.{part}[{name}]"
            found += _validate_resource_name(name, here)
            if parse(amount) < 0:
                found.append(invalid(here, amount, "must be greater than or equal to 0"))
    for name, amount in resources.get("requests", {}).items():
        if name in limits and parse(amount) > parse(limits[name]):
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            found.append(invalid(f"{path}.requests", amount, why))
    return found


def _validate_resource_name(name: str, path: str) -> list[Cause]:
    found: list[Any] = each_invalid(path, name, label_key_faults(name))
    if not found and "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
        found.append(invalid(path, name, "must be a standard resource for containers"))
    return found
