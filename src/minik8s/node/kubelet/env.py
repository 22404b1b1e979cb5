"""A container's environment. Pure: pod_worker.py fetches what is referred to, and calls `environment`.

Later wins: services, `POD_IP`, envFrom, env. `POD_IP` is ours: with the engine `process` a program that listens on all
addresses would collide with its neighbours, so every container is told which one is its own.
"""

import re
from collections.abc import Iterable, Mapping

from minik8s.api.core_v1 import ConfigMap, Container, EnvVar, Pod, Service
from minik8s.node.kubelet.expansion import expand
from minik8s.node.kubelet.fields import Addresses, ConfigError, field, resource_field

_NAME_WRONG = re.compile(r"[=\x00-\x1f\x7f]")


def configmap_names(container: Container) -> set[str]:
    """The ConfigMaps that `environment` wants."""
    names = {source.configMapRef.name for source in container.envFrom or () if source.configMapRef}
    for variable in container.env or ():
        if variable.valueFrom and variable.valueFrom.configMapKeyRef:
            names.add(variable.valueFrom.configMapKeyRef.name)
    return {name for name in names if name}


def environment(
    pod: Pod,
    container: Container,
    *,
    configmaps: Mapping[str, ConfigMap],
    services: Iterable[Service],
    addresses: Addresses,
) -> dict[str, str]:
    """All variables, in order. Raises ConfigError."""
    env = service_variables(pod, services)
    env["POD_IP"] = addresses.pod_ip
    for source in container.envFrom or ():
        if source.secretRef and not source.secretRef.optional:
            raise ConfigError(f'secret "{source.secretRef.name}" not found: secrets are not supported yet')
        if source.configMapRef and (name := source.configMapRef.name):
            if found := configmaps.get(name):
                data = (found.data or {}).items()
                env |= {(source.prefix or "") + key: value for key, value in data if not _NAME_WRONG.search(key)}
            elif not source.configMapRef.optional:
                raise ConfigError(f'configmap "{name}" not found')
    for variable in container.env or ():
        value = _value(pod, container, variable, env, configmaps, addresses)
        if value is not None:
            env[variable.name] = value
    return env


def service_variables(pod: Pod, services: Iterable[Service]) -> dict[str, str]:
    """Docker-style links: of the pod's namespace unless enableServiceLinks is false, and always of `kubernetes`."""
    assert pod.spec is not None and pod.metadata is not None
    links = pod.spec.enableServiceLinks is not False
    env: dict[str, str] = {}
    for service in sorted(services, key=_place):
        namespace, name = _place(service)
        is_master = (namespace, name) == ("default", "kubernetes")
        if not is_master and not (links and namespace == pod.metadata.namespace):
            continue
        ip = service.spec.clusterIP if service.spec else None
        if not ip or ip == "None" or not service.spec or not service.spec.ports:
            continue
        env |= _links(name.upper().replace("-", "_"), ip, service)
    return env


def _links(prefix: str, ip: str, service: Service) -> dict[str, str]:
    assert service.spec and service.spec.ports
    first = service.spec.ports[0]
    env = {f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(first.port)}
    for port in service.spec.ports:
        if port.name:
            env[f"{prefix}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
    env[f"{prefix}_PORT"] = f"{(first.protocol or 'TCP').lower()}://{ip}:{first.port}"
    for port in service.spec.ports:
        protocol = port.protocol or "TCP"
        name = f"{prefix}_PORT_{port.port}_{protocol}"
        env[name] = f"{protocol.lower()}://{ip}:{port.port}"
        env |= {f"{name}_PROTO": protocol.lower(), f"{name}_PORT": str(port.port), f"{name}_ADDR": ip}
    return env


def _value(
    pod: Pod,
    container: Container,
    variable: EnvVar,
    env: Mapping[str, str],
    configmaps: Mapping[str, ConfigMap],
    addresses: Addresses,
) -> str | None:
    source = variable.valueFrom
    if source is None:
        return expand(variable.value or "", env)
    if source.fieldRef:
        return field(pod, source.fieldRef.fieldPath, addresses)
    if source.resourceFieldRef:
        return resource_field(pod, source.resourceFieldRef, container.name, addresses)
    if reference := source.configMapKeyRef:
        found = configmaps.get(reference.name or "")
        if found and reference.key in (found.data or {}):
            return (found.data or {})[reference.key]
        if reference.optional:
            return None
        if found is None:
            raise ConfigError(f'configmap "{reference.name}" not found')
        raise ConfigError(
            f"couldn't find key {reference.key} in ConfigMap {pod.metadata.namespace if pod.metadata else ''}"
            f"/{reference.name}"
        )
    if secret := source.secretKeyRef:
        if secret.optional:
            return None
        raise ConfigError(f'secret "{secret.name}" not found: secrets are not supported yet')
    raise ConfigError(f"variable {variable.name}: a source of this kind is not supported yet")


def _place(service: Service) -> tuple[str, str]:
    assert service.metadata is not None
    return service.metadata.namespace or "", service.metadata.name or ""
