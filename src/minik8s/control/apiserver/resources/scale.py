"""Scale: the number of replicas of anything that has one, as a small kind of its own (autoscaling/v1). Pure.

Read and written through the subresource `scale` of workloads; nothing is stored.
"""

from collections.abc import Callable
from typing import Any

from lightkube.models.autoscaling_v1 import Scale

from minik8s.api.errors import Cause, bad_request, invalid
from minik8s.api.selectors import from_label_selector
from minik8s.control.apiserver.causes import not_negative
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.tree import copied

_SHOWN = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def read_scale(target: Document) -> Document:
    """The Scale of an object."""
    spec, status = target.get("spec", {}), target.get("status", {})
    scale: Document = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: target["metadata"][name] for name in _SHOWN if name in target["metadata"]},
        "spec": {"replicas": spec["replicas"]} if spec.get("replicas") else {},
        "status": {"replicas": status.get("replicas", 0)},
    }
    if selector := _selector(target, spec):
        scale["status"]["selector"] = selector
    return scale


def _selector(target: Document, spec: Document) -> str:
    """The pods that are counted, as a query says it. ReplicationControllers are older than label selectors."""
    given = spec.get("selector")
    if target.get("kind") == "ReplicationController":
        given = {"matchLabels": given or {}}
    return str(from_label_selector(given) or "")


def read_config(target: Resource, config: Document, write: Callable[[Document, Document], Document]) -> Document:
    """What applying a Scale says of the object it is the scale of. Raises StatusError BadRequest."""
    if (config.get("apiVersion"), config.get("kind")) != (SCALES.api_version, SCALES.kind):
        given = config.get("apiVersion", "")
        raise bad_request(
            "Incorrect version specified in apply patch. Specified patch version: "
            f"{given}, expected: {SCALES.api_version}"
        )
    wanted: Document = {"apiVersion": target.api_version, "kind": target.kind, "metadata": config["metadata"]}
    return write(wanted, config) if "replicas" in (config.get("spec") or {}) else wanted


def write_scale(target: Document, scale: Document) -> Document:
    """The object with the replicas a Scale says. Raises StatusError Invalid.

    A resourceVersion or uid the Scale names makes the write conditional.
    """
    if causes := _validate(scale):
        raise invalid(SCALES.kind, SCALES.group, target["metadata"]["name"], causes)
    new = copied(target)
    new.setdefault("spec", {})["replicas"] = scale.get("spec", {}).get("replicas", 0)
    for name in ("resourceVersion", "uid"):
        if scale["metadata"].get(name):
            new["metadata"][name] = scale["metadata"][name]
    return new


def _validate(scale: Document) -> list[Cause]:
    return not_negative("spec.replicas", scale.get("spec", {}).get("replicas", 0))


def _row(scale: Document, now_s: float) -> list[Any]:
    wanted, there = (scale.get(part, {}).get("replicas", 0) for part in ("spec", "status"))
    return [scale["metadata"]["name"], wanted, there, age(scale, now_s)]


SCALES = Resource(
    group="autoscaling",
    version="v1",
    kind="Scale",
    plural="scales",
    namespaced=True,
    model=Scale,
    storage_prefix="",
    columns=(
        Column(NAME.name, description=NAME.description),
        Column("Desired", "integer", description="How many replicas there should be."),
        Column("Available", "integer", description="How many replicas there are."),
        AGE,
    ),
    row=_row,
    validate=_validate,
)
