"""EndpointSlices: for each Service with a selector, the addresses of its pods, at most 100 to a slice.

`plan` keeps endpoints in the slice they are in, fills free places, and only then adds slices: one pod's change is one
slice's patch. Slices are named SERVICE-LETTERS after the service, their ports and a number, so that a repeated create
finds the one that exists.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minik8s.api.core_v1 import PODS, SERVICES, Pod, Service
from minik8s.api.discovery_v1 import ENDPOINTSLICES, EndpointSlice
from minik8s.api.errors import StatusError
from minik8s.api.meta_v1 import key_of
from minik8s.client.controller import Writes
from minik8s.control.controllers import pods as pod_rules
from minik8s.control.controllers.context import Context, Watch
from minik8s.control.controllers.ownership import owner_reference

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ENDPOINTS_MAX = 100

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

Document = dict[str, Any]


@dataclass(slots=True)
class Plan:
    """What to do for one Service."""

    create: list[Document] = field(default_factory=list)
    patch: list[tuple[EndpointSlice, Document]] = field(default_factory=list)
    delete: list[EndpointSlice] = field(default_factory=list)


def plan(service: Service, pods: Iterable[Pod], slices: Sequence[EndpointSlice]) -> Plan:
    """`pods` are those of the namespace that the selector means; `slices` those of the Service that are ours."""
    assert service.spec is not None
    groups: dict[str, tuple[list[Document], dict[str, Document]]] = {}
    for pod in sorted(pods, key=lambda one: one.metadata.name):
        endpoint = endpoint_of(pod, publish_not_ready=bool(service.spec.publishNotReadyAddresses))
        if endpoint is not None:
            # Pods may give one port name different numbers; slices have one set of ports each.
            ports = ports_of(service, pod)
            group = groups.setdefault(_canonical(ports), (ports, {}))
            group[1][pod.metadata.uid] = endpoint
    if not groups:
        # As upstream, a Service without pods has an empty slice: readers see that it was looked at.
        groups[_canonical([])] = ([], {})
    decided = Plan()
    left = sorted(slices, key=lambda one: one.metadata.name)
    for ports, endpoints in groups.values():
        mine = [one for one in left if _canonical(_documents(one.ports)) == _canonical(ports)]
        left = [one for one in left if one not in mine]
        _plan_group(decided, service, ports, endpoints, mine)
    decided.delete += left
    return decided


def endpoint_of(pod: Pod, *, publish_not_ready: bool) -> Document | None:
    """The endpoint of a pod; None while it has no address, and once it has finished."""
    status, meta = pod.status, pod.metadata
    assert meta is not None
    if status is None or not status.podIP or pod_rules.phase(pod) in ("Succeeded", "Failed"):
        return None
    serving = pod_rules.is_ready(pod)
    terminating = pod_rules.is_terminating(pod)
    endpoint: Document = {
        "addresses": [status.podIP],
        "conditions": {
            "ready": publish_not_ready or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {"kind": "Pod", "namespace": meta.namespace, "name": meta.name, "uid": meta.uid},
    }
    if pod.spec and pod.spec.nodeName:
        endpoint["nodeName"] = pod.spec.nodeName
    return endpoint


def ports_of(service: Service, pod: Pod) -> list[Document]:
    """The Service's ports as this pod's containers have them; a name no container has is left out."""
    found = []
    for port in (service.spec and service.spec.ports) or ():
        protocol = port.protocol or "TCP"
        target = port.targetPort if port.targetPort not in (None, "", 0) else port.port
        number = target if isinstance(target, int) else _container_port(pod, target, protocol)
        if number is not None:
            document: Document = {"name": port.name or "", "protocol": protocol, "port": number}
            if port.appProtocol:
                document["appProtocol"] = port.appProtocol
            found.append(document)
    return found


class EndpointSliceController:
    """Keys are Services."""

    name = "endpointslice"

    def __init__(self, context: Context) -> None:
        self._services = context.informer(SERVICES)
        self._pods = context.informer(PODS)
        self._slices = context.informer(ENDPOINTSLICES)
        self._services.add_index("namespace", lambda service: [service.metadata.namespace])
        self._pods.add_index("namespace", lambda pod: [pod.metadata.namespace])
        self._slices.add_index("service", _service_keys)

    def watches(self) -> Iterable[Watch]:
        return (
            Watch(SERVICES, lambda service: [key_of(service)]),
            Watch(PODS, self._keys_of_pod),
            Watch(ENDPOINTSLICES, _service_keys),
        )

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        service = self._services.get(key)
        slices = self._slices.by_index("service", key)
        if service is None or not service.spec or service.metadata.deletionTimestamp is not None:
            return None  # the garbage collector takes its slices
        if not service.spec.selector or service.spec.type == "ExternalName":
            decided = Plan(delete=slices)
        else:
            namespace = service.metadata.namespace or ""
            pods = [pod for pod in self._pods.by_index("namespace", namespace) if _selects(service, pod)]
            decided = plan(service, pods, slices)
        # New slices before smaller old ones: a reader may see an address twice, but never a gap.
        for document in decided.create:
            try:
                await writes.create(ENDPOINTSLICES, document)
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
                return 0.1  # ours from before, and on its way to the cache
        for one, patch in decided.patch:
            await writes.patch(ENDPOINTSLICES, one.metadata.name, patch, namespace=one.metadata.namespace)
        for one in decided.delete:
            await writes.delete(
                ENDPOINTSLICES, one.metadata.name, namespace=one.metadata.namespace, uid=one.metadata.uid
            )
        return None

    def _keys_of_pod(self, pod: Pod) -> Iterable[str]:
        for service in self._services.by_index("namespace", pod.metadata.namespace):
            if _selects(service, pod):
                yield key_of(service)


def _plan_group(
    decided: Plan,
    service: Service,
    ports: list[Document],
    endpoints: dict[str, Document],
    slices: Sequence[EndpointSlice],
) -> None:
    """Place `endpoints` (by pod uid) of one set of ports."""
    homeless = dict(endpoints)
    kept: list[list[Document]] = []
    for one in slices:
        uids = [ref.uid for endpoint in one.endpoints or () if (ref := endpoint.targetRef)]
        kept.append([homeless.pop(uid) for uid in uids if uid in homeless][:ENDPOINTS_MAX])
    waiting = list(homeless.values())
    for members in kept:
        free = ENDPOINTS_MAX - len(members)
        members += waiting[:free]
        del waiting[:free]
    names = {one.metadata.name for one in slices}
    number = 0
    while waiting or (not endpoints and not kept):
        name = _slice_name(service, ports, number)
        number += 1
        if name in names:
            continue
        decided.create.append(_slice(service, name, ports, waiting[:ENDPOINTS_MAX]))
        del waiting[:ENDPOINTS_MAX]
        if not endpoints:
            break
    # Of empty slices one is kept, and only if there is nothing else.
    spare = len(slices) > 1 or bool(decided.create)
    for one, members in zip(slices, kept, strict=True):
        if not members and spare:
            decided.delete.append(one)
        elif _canonical(members) != _canonical([_without_empty(e) for e in _documents(one.endpoints)]):
            decided.patch.append((one, {"metadata": {"uid": one.metadata.uid}, "endpoints": members}))


def _slice(service: Service, name: str, ports: list[Document], endpoints: list[Document]) -> Document:
    assert service.metadata is not None and service.spec is not None
    labels = dict(service.metadata.labels or {}) | {SERVICE_NAME: service.metadata.name, MANAGED_BY: MANAGER}
    if service.spec.clusterIP == "None":
        labels["service.kubernetes.io/headless"] = ""
    return {
        "metadata": {
            "name": name,
            "namespace": service.metadata.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(service, SERVICES)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }


def _slice_name(service: Service, ports: list[Document], number: int) -> str:
    assert service.metadata is not None and service.metadata.name is not None
    source = f"{service.metadata.uid} {_canonical(ports)} {number}"
    value = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big")
    letters = ""
    for _ in range(5):
        value, letter = divmod(value, len(_ALPHABET))
        letters += _ALPHABET[letter]
    return f"{service.metadata.name[:57]}-{letters}"


def _service_keys(one: EndpointSlice) -> list[str]:
    """The Service a slice of ours is for; none for slices of other managers, which are left alone."""
    labels = one.metadata.labels or {}
    if labels.get(MANAGED_BY) != MANAGER or not labels.get(SERVICE_NAME):
        return []
    return [f"{one.metadata.namespace}/{labels[SERVICE_NAME]}"]


def _selects(service: Service, pod: Pod) -> bool:
    selector = (service.spec.selector if service.spec else None) or {}
    return bool(selector) and selector.items() <= (pod.metadata.labels or {}).items()


def _container_port(pod: Pod, name: str, protocol: str) -> int | None:
    for container in (pod.spec.containers if pod.spec else None) or ():
        for port in container.ports or ():
            if port.name == name and (port.protocol or "TCP") == protocol:
                return port.containerPort
    return None


def _documents(structs: Iterable[Any] | None) -> list[Document]:
    return [msgspec.to_builtins(one) for one in structs or ()]


def _without_empty(document: Document) -> Document:
    return {key: value for key, value in document.items() if value is not None}


def _canonical(documents: Any) -> str:
    return msgspec.json.encode(documents, order="sorted").decode()
