"""Objects for tables: small, with what the controllers look at."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from minik8s.api.apps_v1 import Deployment, ReplicaSet
from minik8s.api.core_v1 import Node, Pod, Service
from minik8s.api.discovery_v1 import EndpointSlice

NOW_S = 1_700_000_000.0


def at(s: float) -> str:
    """A time, `s` seconds from NOW_S."""
    return datetime.fromtimestamp(NOW_S + s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def owned_by(uid: str, kind: str = "ReplicaSet", name: str = "web") -> list[dict[str, Any]]:
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}]


def pod(
    name: str = "p",
    *,
    ready: bool = True,
    ready_s: float = -100,
    phase: str = "Running",
    node: str = "n1",
    ip: str = "10.0.0.1",
    owner: str = "",
    labels: dict[str, str] | None = None,
    **meta: Any,
) -> Pod:
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": at(ready_s)}]
    meta = {"name": name, "namespace": "d", "uid": name, "creationTimestamp": at(-200)} | meta
    meta["labels"] = {"app": "web"} if labels is None else labels
    if owner:
        meta["ownerReferences"] = owned_by(owner)
    spec = {"containers": [{"name": "c"}]} | ({"nodeName": node} if node else {})
    status = {"phase": phase, "conditions": conditions, "podIP": ip}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status}, Pod)


def replicaset(
    name: str = "web",
    replicas: int = 3,
    *,
    available: int | None = None,
    existing: int | None = None,
    image: str = "v1",
    settled: bool = True,
    age: int = 0,
    **meta: Any,
) -> ReplicaSet:
    available = replicas if available is None else available
    meta = {"name": name, "namespace": "d", "uid": name, "generation": 2, "creationTimestamp": at(-1000 + age)} | meta
    labels = {"app": "web"}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template(image)}
    status = {
        "replicas": replicas if existing is None else existing,
        "availableReplicas": available,
        "readyReplicas": available,
        "observedGeneration": 2 if settled else 1,
    }
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status}, ReplicaSet)


def deployment(replicas: int = 3, *, image: str = "v1", status: Any = None, **spec: Any) -> Deployment:
    meta = {"name": "web", "namespace": "d", "uid": "dep", "generation": 5}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": template(image),
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 10,
    } | spec
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status}, Deployment)


def rolling(surge: Any, unavailable: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def template(image: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}


def service(**spec: Any) -> Service:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]} | spec
    return msgspec.convert({"metadata": {"name": "web", "namespace": "d", "uid": "svc"}, "spec": spec}, Service)


def as_slice(document: dict[str, Any]) -> EndpointSlice:
    """A slice as the server would have stored it."""
    meta = document["metadata"] | {"uid": document["metadata"]["name"]}
    return msgspec.convert(document | {"metadata": meta}, EndpointSlice)


def node(name: str = "n1", ready: str = "True", *, taints: Any = (), **spec: Any) -> Node:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    spec = {"taints": list(taints)} | spec
    return msgspec.convert(
        {"metadata": {"name": name, "uid": name}, "spec": spec, "status": {"conditions": conditions}}, Node
    )
