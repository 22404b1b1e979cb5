"""Pod: containers that run together on one node."""

from typing import Any

from minik8s.api.core_v1 import Pod
from minik8s.api.errors import Cause
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.ephemeralcontainers import validate_ephemeral_create
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podspec import default_pod_spec, validate_pod_spec
from minik8s.control.apiserver.resources.podsummary import summarize
from minik8s.control.apiserver.resources.podupdate import validate_pod_update
from minik8s.control.apiserver.resources.qos import qos_class
from minik8s.control.apiserver.resources.status import keep_status

_COLUMNS = (
    NAME,
    Column("Ready", description="Ready containers of all."),
    Column("Status", description="What the pod is doing, in a word."),
    Column("Restarts", description="How often containers were restarted, and when last."),
    AGE,
    Column("IP", priority=1, description="Address of the pod."),
    Column("Node", priority=1, description="The node it runs on."),
    Column("Nominated Node", priority=1, description="The node that preemption makes room on."),
    Column("Readiness Gates", priority=1, description="True readiness gates of all."),
)


def _prepare_create(pod: Document) -> None:
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(pod.get("spec", {}))}


def _default(pod: Document) -> None:
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        # What is limited but not requested is requested up to the limit.
        if limits := container["resources"].get("limits"):
            container["resources"]["requests"] = limits | container["resources"].get("requests", {})


def _validate(pod: Document) -> list[Cause]:
    return validate_pod_spec(pod["spec"], "spec")


def _gates(pod: Document) -> str:
    gates = [gate["conditionType"] for gate in pod.get("spec", {}).get("readinessGates", ())]
    conditions = pod.get("status", {}).get("conditions", ())
    true = {condition["type"] for condition in conditions if condition["status"] == "True"}
    return f"{sum(gate in true for gate in gates)}/{len(gates)}" if gates else NONE


def _row(pod: Document, now_s: float) -> list[Any]:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    summary = summarize(pod, now_s)
    return [
        pod["metadata"]["name"],
        summary.ready,
        summary.word,
        summary.restarts,
        age(pod, now_s),
        next((address["ip"] for address in status.get("podIPs", ())), status.get("podIP") or NONE),
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(pod),
    ]


def _fields(pod: Document) -> dict[str, str]:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    return {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", ""),
        "spec.schedulerName": spec.get("schedulerName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostNetwork": "true" if spec.get("hostNetwork") else "false",
        "status.phase": status.get("phase", ""),
        "status.podIP": next((item["ip"] for item in status.get("podIPs", ())), status.get("podIP", "")),
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }


PODS = Resource(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    namespaced=True,
    model=Pod,
    storage_prefix="pods",
    short_names=("po",),
    categories=("all",),
    subresources=("binding", "ephemeralcontainers", "eviction", "log", "proxy", "resize", "status"),
    columns=_COLUMNS,
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_create=validate_ephemeral_create,
    validate_update=validate_pod_update,
    validate_name=subdomain_name,
    fields=_fields,
    field_names=(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
)
