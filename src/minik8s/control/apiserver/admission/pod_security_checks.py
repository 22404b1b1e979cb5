"""What pods must not do, one function each: of annotations and spec it says nothing, or (reason, detail). Pure.

In upstream's words (k8s.io/pod-security-admission/policy, as of 1.36). Which of them make up a level of a release:
`pod_security_standards`. Those that changed over time are made for a minor release.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Spec = Mapping[str, Any]
Finding = tuple[str, str] | None
Run = Callable[[Mapping[str, str], Spec], Finding]

_DEFAULT_CAPABILITIES = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE")
) | frozenset(("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"))
SYSCTLS = {
    0: "kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.tcp_syncookies net.ipv4.ping_group_range "
    "net.ipv4.ip_unprivileged_port_start",
    27: "net.ipv4.ip_local_reserved_ports",
    29: "net.ipv4.tcp_keepalive_time net.ipv4.tcp_fin_timeout net.ipv4.tcp_keepalive_intvl "
    "net.ipv4.tcp_keepalive_probes",
    32: "net.ipv4.tcp_rmem net.ipv4.tcp_wmem",
}
SELINUX_TYPES = {0: "container_t container_init_t container_kvm_t", 31: "container_engine_t"}
_VOLUMES = frozenset(
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"]
)
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_PROFILES = ("RuntimeDefault", "Localhost")
_OLD_PROFILES = ("runtime/default", "docker/default")


def _containers(spec: Spec) -> Iterator[Spec]:
    for part in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(part) or ()


def _context(holder: Spec) -> Spec:
    return holder.get("securityContext") or {}


def _where(spec: Spec, is_bad: Callable[[Spec], bool]) -> list[str]:
    """The names of the containers of which it is true."""
    return [container.get("name", "") for container in _containers(spec) if is_bad(container)]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(json.dumps(name, ensure_ascii=False) for name in names)


def _some(singular: str, names: list[str]) -> str:
    """`container "a"`, `containers "a", "b"`."""
    return f"{singular if len(names) == 1 else singular + 's'} {_quoted(names)}"


def _setters(spec: Spec, is_bad: Callable[[Spec], bool]) -> str:
    """Who sets something in its securityContext: `pod and container "a"`; "" if nobody."""
    containers = _where(spec, lambda container: is_bad(_context(container)))
    parts = (["pod"] if is_bad(_context(spec)) else []) + ([_some("container", containers)] if containers else [])
    return " and ".join(parts)


def _is_windows(spec: Spec) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"


def as_user_of_its_own(run: Run) -> Run:
    """Of pods in a user namespace of their own nothing is asked."""
    return lambda annotations, spec: None if spec.get("hostUsers") is False else run(annotations, spec)


def not_windows(run: Run) -> Run:
    """Of pods for Windows nothing is asked."""
    return lambda annotations, spec: None if _is_windows(spec) else run(annotations, spec)


def _values(contexts: Iterable[Spec], field: str) -> set[str]:
    return {(context.get(field) or {}).get("type", "") for context in contexts if context.get(field) is not None}


def apparmor(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """AppArmor profiles, by field or by annotation, are those of the runtime or the node."""

    def is_bad(context: Spec) -> bool:
        return context.get("appArmorProfile") is not None and context["appArmorProfile"].get("type") not in _PROFILES

    contexts = [_context(spec), *map(_context, _containers(spec))]
    values = sorted(_values(filter(is_bad, contexts), "appArmorProfile"))
    annotated = sorted(
        f"{key}={json.dumps(value)}"
        for key, value in annotations.items()
        if key.startswith(_APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    setters = [each for each in [_setters(spec, is_bad)] if each]
    if annotated:
        setters.append("annotation" if len(annotated) == 1 else "annotations")
    if not setters:
        return None
    values += annotated
    reason = "forbidden AppArmor profile" + ("" if len(values) == 1 else "s")
    listed = ", ".join(f'"{value}"' for value in values)
    return reason, f"{' and '.join(setters)} must not set AppArmor profile type to {listed}"


def _added(container: Spec) -> list[str]:
    return (_context(container).get("capabilities") or {}).get("add") or []


def _adding(spec: Spec, allowed: Iterable[str]) -> str:
    """Who adds capabilities that are not allowed; "" if nobody."""
    bad = [name for container in _containers(spec) for name in _added(container) if name not in allowed]
    if not bad:
        return ""
    who = _where(spec, lambda container: any(name in bad for name in _added(container)))
    return f"{_some('container', who)} must not include {_quoted(sorted(set(bad)))} in securityContext.capabilities.add"


def capabilities_baseline(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Capabilities beyond those of most runtimes are not added."""
    detail = _adding(spec, _DEFAULT_CAPABILITIES)
    return ("non-default capabilities", detail) if detail else None


def capabilities_restricted(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """All capabilities are dropped; one may come back."""

    def keeps(container: Spec) -> bool:
        return "ALL" not in ((_context(container).get("capabilities") or {}).get("drop") or ())

    details = []
    if who := _where(spec, keeps):
        details.append(f'{_some("container", who)} must set securityContext.capabilities.drop=["ALL"]')
    if adding := _adding(spec, ("NET_BIND_SERVICE",)):
        details.append(adding)
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def host_namespaces(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Namespaces of the node are not shared."""
    shared = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return ("host namespaces", ", ".join(shared)) if shared else None


def host_path(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Paths of the node are not mounted."""
    bad = [volume.get("name", "") for volume in spec.get("volumes") or () if volume.get("hostPath") is not None]
    return ("hostPath volumes", _some("volume", bad)) if bad else None


def host_ports(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Ports of the node are not used."""

    def ports(container: Spec) -> set[str]:
        return {str(port["hostPort"]) for port in container.get("ports") or () if port.get("hostPort")}

    if not (who := _where(spec, lambda container: bool(ports(container)))):
        return None
    used = sorted(set().union(*map(ports, _containers(spec))))
    verb, noun = "uses" if len(who) == 1 else "use", "hostPort" if len(used) == 1 else "hostPorts"
    return "hostPort", f"{_some('container', who)} {verb} {noun} {', '.join(used)}"


def probe_hosts(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Probes and hooks ask nobody but the pod."""

    def hosts(container: Spec) -> set[str]:
        lifecycle = container.get("lifecycle") or {}
        handlers = [container.get(f"{kind}Probe") or {} for kind in ("liveness", "readiness", "startup")]
        handlers += [lifecycle.get(kind) or {} for kind in ("postStart", "preStop")]
        found = ((each.get(way) or {}).get("host") for each in handlers for way in ("httpGet", "tcpSocket"))
        return {host for host in found if host}

    if not (who := sorted(set(_where(spec, lambda container: bool(hosts(container)))))):
        return None
    used = sorted(set().union(*map(hosts, _containers(spec))))
    verb, what = "uses" if len(who) == 1 else "use", "probe or lifecycle host"
    return what, f"{_some('container', who)} {verb} {_some(what, used)}"


def privileged(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """No container is privileged."""
    who = _where(spec, lambda container: _context(container).get("privileged") is True)
    return ("privileged", f"{_some('container', who)} must not set securityContext.privileged=true") if who else None


def proc_mount(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """/proc stays masked."""

    def is_bad(container: Spec) -> bool:
        return _context(container).get("procMount") not in (None, "Default")

    if not (who := _where(spec, is_bad)):
        return None
    values = sorted({_context(container)["procMount"] for container in filter(is_bad, _containers(spec))})
    return "procMount", f"{_some('container', who)} must not set securityContext.procMount to {_quoted(values)}"


def selinux(minor: int) -> Run:
    """SELinux types are those of containers; users and roles are not chosen."""
    allowed = {"", *(name for since, names in SELINUX_TYPES.items() if since <= minor for name in names.split())}

    def faults(context: Spec) -> list[str]:
        options = context.get("seLinuxOptions") or {}
        set_fields = [field for field in ("user", "role") if options.get(field)]
        return set_fields + ([] if options.get("type", "") in allowed else [options["type"]])

    def run(annotations: Mapping[str, str], spec: Spec) -> Finding:
        if not (setters := _setters(spec, lambda context: bool(faults(context)))):
            return None
        contexts = [_context(spec), *map(_context, _containers(spec))]
        options = [context.get("seLinuxOptions") or {} for context in contexts]
        types = sorted({each.get("type", "") for each in options} - allowed)
        bad = [_some("type", types)] if types else []
        bad += [f"{field} may not be set" for field in ("user", "role") if any(each.get(field) for each in options)]
        return "seLinuxOptions", f"{setters} set forbidden securityContext.seLinuxOptions: {'; '.join(bad)}"

    return run


def _is_bad_seccomp(context: Spec) -> bool:
    return context.get("seccompProfile") is not None and context["seccompProfile"].get("type") not in _PROFILES


def seccomp_annotations(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Seccomp profiles by annotation, before 1.19."""
    names = [_SECCOMP_POD, *(f"{_SECCOMP}{container.get('name', '')}" for container in _containers(spec))]
    bad = sorted(
        f"{name}={json.dumps(annotations[name])}"
        for name in names
        if name in annotations
        and annotations[name] not in _OLD_PROFILES
        and not annotations[name].startswith("localhost/")
    )
    noun = "annotation" if len(bad) == 1 else "annotations"
    return ("seccompProfile", f"forbidden {noun} {', '.join(bad)}") if bad else None


def seccomp_baseline(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Seccomp is not switched off."""
    if not (setters := _setters(spec, _is_bad_seccomp)):
        return None
    contexts = [_context(spec), *map(_context, _containers(spec))]
    values = sorted(_values(filter(_is_bad_seccomp, contexts), "seccompProfile"))
    return "seccompProfile", f"{setters} must not set securityContext.seccompProfile.type to {_quoted(values)}"


def seccomp_restricted(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Seccomp is switched on."""
    if found := seccomp_baseline(annotations, spec):
        return found
    if _context(spec).get("seccompProfile") is not None:
        return None
    who = _where(spec, lambda container: _context(container).get("seccompProfile") is None)
    what = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return ("seccompProfile", f"pod or {_some('container', who)} {what}") if who else None


def sysctls(minor: int) -> Run:
    """Kernel parameters are those of namespaces."""
    allowed = {name for since, names in SYSCTLS.items() if since <= minor for name in names.split()}

    def run(annotations: Mapping[str, str], spec: Spec) -> Finding:
        names = (each.get("name", "") for each in _context(spec).get("sysctls") or ())
        bad = [name for name in names if name not in allowed]
        return ("forbidden sysctls", ", ".join(bad)) if bad else None

    return run


def host_process(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """No Windows container is a process of the node."""
    setters = _setters(spec, lambda context: bool((context.get("windowsOptions") or {}).get("hostProcess")))
    return (
        ("hostProcess", f"{setters} must not set securityContext.windowsOptions.hostProcess=true") if setters else None
    )


def escalation(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """No process gains more rights than its parent."""
    who = _where(spec, lambda container: _context(container).get("allowPrivilegeEscalation") is not False)
    detail = f"{_some('container', who)} must set securityContext.allowPrivilegeEscalation=false"
    return ("allowPrivilegeEscalation != false", detail) if who else None


def volumes(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Volumes are of kinds that reach nothing of the node."""
    bad = [volume for volume in spec.get("volumes") or () if not any(volume.get(kind) is not None for kind in _VOLUMES)]
    if not bad:
        return None
    kinds = sorted({next((kind for kind in volume if kind != "name"), "unknown") for volume in bad})
    who = _some("volume", [volume.get("name", "") for volume in bad])
    return (
        "restricted volume types",
        f"{who} {'uses' if len(bad) == 1 else 'use'} {_some('restricted volume type', kinds)}",
    )


def non_root(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Containers say that they do not run as root."""
    reason = "runAsNonRoot != true"
    if setters := _setters(spec, lambda context: context.get("runAsNonRoot") is False):
        return reason, f"{setters} must not set securityContext.runAsNonRoot=false"
    if _context(spec).get("runAsNonRoot"):
        return None
    who = _where(spec, lambda container: _context(container).get("runAsNonRoot") is None)
    return (reason, f"pod or {_some('container', who)} must set securityContext.runAsNonRoot=true") if who else None


def root_user(annotations: Mapping[str, str], spec: Spec) -> Finding:
    """Nobody is root by number."""
    setters = _setters(spec, lambda context: context.get("runAsUser") == 0)
    return ("runAsUser=0", f"{setters} must not set runAsUser=0") if setters else None
