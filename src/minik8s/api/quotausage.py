"""What an object uses of its namespace's quotas, and which quotas concern it. Pure, on documents.

Shared by the apiserver, which charges a write, and the controller that counts what is there: both must agree. As
k8s.io/kubernetes/pkg/quota/v1/evaluator/core; every kind not named here uses only `count/PLURAL[.GROUP]`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import ceil
from typing import Any

from minik8s.api import amounts
from minik8s.api.amounts import Amounts
from minik8s.api.quantity import form_of, parse, render
from minik8s.api.selectors import Requirement

Document = Mapping[str, Any]

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
# As upstream: whoever limits these wants every container to say how much it needs.
_MUST_BE_SAID = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_BY_CLASS = ".storageclass.storage.k8s.io/"
# Kinds that had a name of their own before `count/` came.
_NAMED = frozenset(
    {"configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas", "secrets", "services"}
)
_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def usage(plural: str, group: str, document: Document, *, now_s: float) -> Amounts:
    """What one object uses."""
    found = {count_name(plural, group): "1"}
    if group:
        return found
    if plural in _NAMED:
        found[plural] = "1"
    match plural:
        case "pods":
            return found | _pod_usage(document, now_s)
        case "services":
            return found | _service_usage(document)
        case "persistentvolumeclaims":
            return found | _claim_usage(document)
    return found


def count_name(plural: str, group: str) -> str:
    """The quota of how many objects of a kind there may be."""
    return f"count/{plural}.{group}" if group else f"count/{plural}"


def is_about(plural: str, group: str, name: str) -> bool:
    """Whether a limit of a quota concerns a kind."""
    if name == count_name(plural, group):
        return True
    if group:
        return False
    match plural:
        case "pods":
            bare = name.removeprefix("requests.").removeprefix("limits.")
            return name == "pods" or bare in _COMPUTE or bare.startswith("hugepages-") or _is_extended_request(name)
        case "services":
            return name in ("services", "services.nodeports", "services.loadbalancers")
        case "persistentvolumeclaims":
            return name in ("persistentvolumeclaims", "requests.storage") or name.endswith(
                (f"{_BY_CLASS}persistentvolumeclaims", f"{_BY_CLASS}requests.storage")
            )
    return plural in _NAMED and name == plural


def in_scope(quota: Document, plural: str, group: str, document: Document) -> bool:
    """Whether all scopes of a quota mean this object. Only pods and claims are in any scope."""
    spec = quota.get("spec") or {}
    wanted = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    wanted += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_is_in(each, plural, group, document) for each in wanted)


def unsaid(document: Document, limited: Iterable[str]) -> str:
    """What a pod's containers must say when a quota limits it, in upstream's words; "" if nothing is missing."""
    missing: dict[str, set[str]] = {}
    spec = document.get("spec") or {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
        said = _compute_usage(resources.get("requests") or {}, resources.get("limits") or {})
        for name in _MUST_BE_SAID.intersection(limited) - said.keys():
            missing.setdefault(name, set()).add(container.get("name", ""))
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def _pod_usage(pod: Document, now_s: float) -> Amounts:
    if not _is_charged(pod, now_s):
        return {}
    spec = pod.get("spec") or {}
    overhead = spec.get("overhead") or {}
    requests = amounts.add(amounts.pod_amounts(spec, "requests"), overhead)
    limits = amounts.pod_amounts(spec, "limits")
    limits = amounts.add(limits, amounts.only(overhead, limits))
    return {"pods": "1"} | _compute_usage(requests, limits)


def _is_charged(pod: Document, now_s: float) -> bool:
    """Not one that has finished, nor one whose time to stop is over."""
    if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return False
    metadata = pod["metadata"]
    if not (deleted := metadata.get("deletionTimestamp")):
        return True
    grace_s = metadata.get("deletionGracePeriodSeconds")
    # As upstream, which counts the grace period twice: the time of deletion is already its end.
    return grace_s is None or now_s <= datetime.fromisoformat(deleted).timestamp() + grace_s


def _compute_usage(requests: Amounts, limits: Amounts) -> Amounts:
    found: Amounts = {}
    for name, amount in requests.items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            found[name] = found[f"requests.{name}"] = amount
        elif _is_extended(name):
            found[f"requests.{name}"] = amount
    return found | {f"limits.{name}": amount for name, amount in limits.items() if name in _COMPUTE}


def _is_extended(name: str) -> bool:
    return "/" in name and not name.split("/")[0].endswith("kubernetes.io") and not name.startswith("requests.")


def _is_extended_request(name: str) -> bool:
    return name.startswith("requests.") and _is_extended(name.removeprefix("requests."))


def _service_usage(service: Document) -> Amounts:
    spec = service.get("spec") or {}
    ports = spec.get("ports") or ()
    match spec.get("type"):
        case "NodePort":
            node_ports, balancers = len(ports), 0
        case "LoadBalancer" if spec.get("allocateLoadBalancerNodePorts") is False:
            node_ports, balancers = sum(bool(port.get("nodePort")) for port in ports), 1
        case "LoadBalancer":
            node_ports, balancers = len(ports), 1
        case _:
            node_ports, balancers = 0, 0
    return {"services.nodeports": str(node_ports), "services.loadbalancers": str(balancers)}


def _claim_usage(claim: Document) -> Amounts:
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    found: Amounts = {}
    requested = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if requested is not None:
        allocated = (status.get("allocatedResources") or {}).get("storage", "0")
        larger = max(requested, allocated, key=parse)
        found["requests.storage"] = render(ceil(parse(larger)), form_of(larger))
    annotations = claim["metadata"].get("annotations") or {}
    if name := annotations.get("volume.beta.kubernetes.io/storage-class") or spec.get("storageClassName"):
        found |= {f"{name}{_BY_CLASS}{each}": amount for each, amount in found.items()}
        found[f"{name}{_BY_CLASS}persistentvolumeclaims"] = "1"
    return found


def _is_in(wanted: Document, plural: str, group: str, document: Document) -> bool:
    scope = wanted["scopeName"]
    if (plural, group) == ("persistentvolumeclaims", "") and scope == "VolumeAttributesClass":
        return _selects(wanted, _attribute_classes(document))
    if (plural, group) != ("pods", ""):
        return False
    spec = document.get("spec") or {}
    match scope:
        case "Terminating":
            return (spec.get("activeDeadlineSeconds") or -1) >= 0
        case "NotTerminating":
            return (spec.get("activeDeadlineSeconds") or -1) < 0
        case "BestEffort":
            return _is_best_effort(spec)
        case "NotBestEffort":
            return not _is_best_effort(spec)
        case "PriorityClass":
            name = spec.get("priorityClassName")
            return _selects(wanted, [name] if name else [])
        case "CrossNamespacePodAffinity":
            return _looks_across_namespaces(spec.get("affinity") or {})
    return False


def _selects(wanted: Document, names: Iterable[str]) -> bool:
    operator = _OPERATORS.get(wanted.get("operator", ""), "in")
    requirement = Requirement(wanted["scopeName"], operator, tuple(sorted(wanted.get("values") or ())))
    return any(requirement.matches({wanted["scopeName"]: name}) for name in names) or (
        not names and requirement.matches({})
    )


def _attribute_classes(claim: Document) -> list[str]:
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    target = (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName")
    names = (spec.get("volumeAttributesClassName"), status.get("currentVolumeAttributesClassName"), target)
    return [name for name in names if name]


def _is_best_effort(spec: Document) -> bool:
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()), spec)
    lists = [(each.get("resources") or {}).get(part) or {} for each in containers for part in ("requests", "limits")]
    return not any(parse(each.get(name, "0")) for each in lists for name in ("cpu", "memory"))


def _looks_across_namespaces(affinity: Document) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        weighted = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [each.get("podAffinityTerm") or {} for each in weighted]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False
