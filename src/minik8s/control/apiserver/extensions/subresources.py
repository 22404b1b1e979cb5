"""Subresources of custom objects: status as it is, scale where the definition says. Pure.

As k8s.io/apiextensions-apiserver/pkg/registry/customresource: unlike those of built-in kinds, a write of the status
changes nothing else at all.
"""

import copy
from typing import Any

from minik8s.api.errors import invalid
from minik8s.control.apiserver.causes import not_negative
from minik8s.control.apiserver.extensions import jsonpath
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.scale import SCALES
from minik8s.control.apiserver.views import OBJECT, View

_CONDITIONS = ("uid", "resourceVersion")  # What makes a write conditional.
_SHOWN = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def view_of(resource: Resource, subresource: str) -> View | None:
    """How a subresource of a custom kind is seen; None if it has none such."""
    assert resource.custom
    match subresource:
        case "":
            return OBJECT
        case "status":
            return STATUS
        case "scale" if resource.custom.scale is not None:
            return scale_view(resource.custom.scale)
    return None


def _write_status(old: Document, given: Document) -> Document:
    new = copy.deepcopy(old)
    new.pop("status", None)
    if "status" in given:
        new["status"] = given["status"]
    return _on_conditions(new, given)


STATUS = View(write=_write_status)


def scale_view(paths: Document) -> View:
    """The Scale of objects whose replicas and selector are at these paths."""

    def read(document: Document) -> Document:
        spec = _at(document, paths["specReplicasPath"])
        status = _at(document, paths["statusReplicasPath"])
        scale: Document = {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {name: document["metadata"][name] for name in _SHOWN if name in document["metadata"]},
            "spec": {"replicas": spec} if _is_count(spec) and spec else {},
            "status": {"replicas": status if _is_count(status) else 0},
        }
        selector = _at(document, paths.get("labelSelectorPath", ""))
        if isinstance(selector, str) and selector:
            scale["status"]["selector"] = selector
        return scale

    def write(document: Document, scale: Document) -> Document:
        replicas = scale.get("spec", {}).get("replicas", 0)
        if causes := not_negative("spec.replicas", replicas):
            raise invalid(SCALES.kind, SCALES.group, document["metadata"]["name"], causes)
        new = copy.deepcopy(document)
        *parents, last = jsonpath.simple_steps(paths["specReplicasPath"]) or ["spec", "replicas"]
        node = new
        for step in parents:
            if not isinstance(node.get(step), dict):
                node[step] = {}
            node = node[step]
        node[last] = replicas
        return _on_conditions(new, scale)

    return View(read, write, SCALES)


def _on_conditions(new: Document, given: Document) -> Document:
    for name in _CONDITIONS:
        if given["metadata"].get(name):
            new["metadata"][name] = given["metadata"][name]
    return new


def _at(document: Document, path: str) -> Any:
    node: Any = document
    for step in jsonpath.simple_steps(path) or ():
        node = node.get(step) if isinstance(node, dict) else None
    return node if path else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
