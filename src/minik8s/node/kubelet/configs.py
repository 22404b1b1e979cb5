"""What the runtime is told about a pod and its containers: spec in, CRI messages out. Pure."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from minik8s.api import quantity
from minik8s.api.core_v1 import Container, Pod
from minik8s.node.kubelet.cri import CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID
from minik8s.node.kubelet.expansion import expand
from minik8s.node.kubelet.volumes import Mount
from minik8s.wire.cri import api_pb2 as cri

CPU_PERIOD_US = 100_000


def log_directory(root: Path, pod: Pod) -> Path:
    """As upstream: NAMESPACE_NAME_UID."""
    assert pod.metadata is not None
    return root / f"{pod.metadata.namespace}_{pod.metadata.name}_{pod.metadata.uid}"


def sandbox_config(pod: Pod, attempt: int, logs: Path) -> cri.PodSandboxConfig:
    """For RunPodSandbox."""
    assert pod.metadata is not None and pod.spec is not None
    meta, spec = pod.metadata, pod.spec
    ports = [
        cri.PortMapping(
            protocol=port.protocol or "TCP",
            container_port=port.containerPort,
            host_port=port.hostPort,
            host_ip=port.hostIP or "",
        )
        for container in spec.containers
        for port in container.ports or ()
        if port.hostPort
    ]
    return cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(
            name=meta.name or "", uid=meta.uid or "", namespace=meta.namespace or "", attempt=attempt
        ),
        hostname=spec.hostname or (meta.name or "")[:63],
        log_directory=str(log_directory(logs, pod)),
        port_mappings=ports,
        labels={**(meta.labels or {}), **_labels(pod)},
        annotations=meta.annotations or {},
        linux=cri.LinuxPodSandboxConfig(
            security_context=cri.LinuxSandboxSecurityContext(namespace_options=_namespaces(pod))
        ),
    )


def container_config(
    pod: Pod, container: Container, attempt: int, env: Mapping[str, str], mounts: Iterable[Mount]
) -> cri.ContainerConfig:
    """For CreateContainer."""
    return cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=container.name, attempt=attempt),
        image=cri.ImageSpec(image=container.image or "", user_specified_image=container.image or ""),
        command=[expand(part, env) for part in container.command or ()],
        args=[expand(part, env) for part in container.args or ()],
        working_dir=container.workingDir or "",
        envs=[cri.KeyValue(key=key, value=value.encode()) for key, value in env.items()],
        mounts=[
            cri.Mount(container_path=mount.container_path, host_path=mount.host_path, readonly=mount.readonly)
            for mount in mounts
        ],
        labels={**_labels(pod), CONTAINER_NAME: container.name},
        annotations={"io.kubernetes.container.restartCount": str(attempt)},
        log_path=f"{container.name}/{attempt}.log",
        stdin=bool(container.stdin),
        stdin_once=bool(container.stdinOnce),
        tty=bool(container.tty),
        linux=cri.LinuxContainerConfig(resources=_resources(container), security_context=_security(pod, container)),
    )


def _labels(pod: Pod) -> dict[str, str]:
    assert pod.metadata is not None
    meta = pod.metadata
    return {POD_NAME: meta.name or "", POD_NAMESPACE: meta.namespace or "", POD_UID: meta.uid or ""}


def _namespaces(pod: Pod) -> cri.NamespaceOption:
    assert pod.spec is not None
    mode = cri.NamespaceMode
    return cri.NamespaceOption(
        network=mode.NODE if pod.spec.hostNetwork else mode.POD,
        pid=mode.NODE if pod.spec.hostPID else mode.POD if pod.spec.shareProcessNamespace else mode.CONTAINER,
        ipc=mode.NODE if pod.spec.hostIPC else mode.POD,
    )


def _resources(container: Container) -> cri.LinuxContainerResources:
    """As upstream: shares from the cpu request, quota from the limit."""
    limits = (container.resources and container.resources.limits) or {}
    requests = {**limits, **((container.resources and container.resources.requests) or {})}
    resources = cri.LinuxContainerResources(cpu_shares=2)
    if "cpu" in requests:
        resources.cpu_shares = max(2, quantity.milli(str(requests["cpu"])) * 1024 // 1000)
    if "cpu" in limits:
        resources.cpu_period = CPU_PERIOD_US
        resources.cpu_quota = max(1000, quantity.milli(str(limits["cpu"])) * CPU_PERIOD_US // 1000)
    if "memory" in limits:
        resources.memory_limit_in_bytes = quantity.whole(str(limits["memory"]))
    return resources


def _security(pod: Pod, container: Container) -> cri.LinuxContainerSecurityContext:
    own, pods = container.securityContext, pod.spec.securityContext if pod.spec else None
    security = cri.LinuxContainerSecurityContext(namespace_options=_namespaces(pod))
    user = own.runAsUser if own and own.runAsUser is not None else pods.runAsUser if pods else None
    group = own.runAsGroup if own and own.runAsGroup is not None else pods.runAsGroup if pods else None
    if user is not None:
        security.run_as_user.value = user
    if group is not None:
        security.run_as_group.value = group
    if own is not None:
        security.privileged = bool(own.privileged)
        security.readonly_rootfs = bool(own.readOnlyRootFilesystem)
        security.no_new_privs = own.allowPrivilegeEscalation is False
        if own.capabilities:
            security.capabilities.add_capabilities.extend(own.capabilities.add or ())
            security.capabilities.drop_capabilities.extend(own.capabilities.drop or ())
    return security
