"""The spec of a pod, alone or in a template: defaults and syntax.

Containers, probes and volumes have files of their own. What scheduling constraints mean is the scheduler's business;
here is only whether they can be read.
"""

from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults, dns_subdomain_faults, label_key_faults
from minik8s.control.apiserver.causes import each_invalid, invalid, not_negative, one_of, required
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.container import (
    default_container,
    validate_containers,
    validate_host_ports,
)
from minik8s.control.apiserver.resources.ephemeralcontainers import validate_ephemeral_containers
from minik8s.control.apiserver.resources.objectmeta import validate_labels
from minik8s.control.apiserver.resources.volume import default_volume, validate_volumes

RESTART_POLICIES = ("Always", "Never", "OnFailure")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_DEFAULTS = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}
_INT32_MAX = 2**31 - 1


def default_pod_spec(spec: Document) -> None:
    """What kube-apiserver fills in for pods and templates alike."""
    for name, value in _DEFAULTS.items():
        spec[name] = spec.get(name) or value
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("securityContext", {})
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account  # The old name is kept for old readers.
    for volume in spec.get("volumes", ()):
        default_volume(volume)
    for container in (
        *spec.get("initContainers", ()),
        *spec.get("containers", ()),
        *spec.get("ephemeralContainers", ()),
    ):
        default_container(container)
        if spec.get("hostNetwork"):
            for port in container.get("ports", ()):
                port["hostPort"] = port.get("hostPort") or port.get("containerPort", 0)


def validate_pod_spec(spec: Document, path: str) -> list[Cause]:
    """Causes for a spec after defaulting."""
    volumes, found = validate_volumes(spec.get("volumes", []), f"{path}.volumes")
    containers = spec.get("containers", [])
    names: set[str] = set()
    if not containers:
        found.append(required(f"{path}.containers"))
    found += validate_containers(containers, f"{path}.containers", volumes=volumes, names=names)
    inits = spec.get("initContainers", [])
    found += validate_containers(inits, f"{path}.initContainers", volumes=volumes, names=names)
    found += validate_ephemeral_containers(spec, f"{path}.ephemeralContainers", volumes=volumes, names=names)
    host_network = bool(spec.get("hostNetwork"))
    found += validate_host_ports(containers, f"{path}.containers", host_network=host_network)
    found += one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), RESTART_POLICIES)
    found += one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS_POLICIES)
    found += validate_labels(spec.get("nodeSelector", {}), f"{path}.nodeSelector")
    found += validate_tolerations(spec.get("tolerations", []), f"{path}.tolerations")
    found += _validate_names(spec, path)
    found += not_negative(f"{path}.terminationGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 0))
    deadline = spec.get("activeDeadlineSeconds", 1)
    if not 1 <= deadline <= _INT32_MAX:
        why = f"must be between 1 and {_INT32_MAX}, inclusive"
        found.append(invalid(f"{path}.activeDeadlineSeconds", deadline, why))
    return found


def _validate_names(spec: Document, path: str) -> list[Cause]:
    found = []
    for field, faults_of in (
        ("serviceAccountName", dns_subdomain_faults),
        ("nodeName", dns_subdomain_faults),
        ("hostname", dns_label_faults),
        ("subdomain", dns_label_faults),
        ("priorityClassName", dns_subdomain_faults),
        ("schedulerName", label_key_faults),
    ):
        if value := spec.get(field):
            found += each_invalid(f"{path}.{field}", value, faults_of(value))
    return found


def validate_tolerations(tolerations: list[Document], path: str) -> list[Cause]:
    """Causes for tolerations that can match nothing, or that contradict themselves."""
    found = []
    for index, toleration in enumerate(tolerations):
        here = f"{path}[{index}]"
        key, operator, effect = (toleration.get(name, "") for name in ("key", "operator", "effect"))
        if key:
            found += each_invalid(f"{here}.key", key, label_key_faults(key))
        elif operator != "Exists":
            why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.append(invalid(f"{here}.operator", operator, why))
        if operator == "Exists" and toleration.get("value"):
            found.append(invalid(f"{here}.operator", toleration, "value must be empty when `operator` is 'Exists'"))
        found += one_of(f"{here}.operator", operator, ("Equal", "Exists")) if operator else []
        found += one_of(f"{here}.effect", effect, EFFECTS) if effect else []
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            found.append(invalid(f"{here}.effect", effect, why))
    return found
