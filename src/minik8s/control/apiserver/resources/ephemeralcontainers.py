"""Ephemeral containers: added to a running pod to look into it, by their own subresource, and there to stay."""

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import forbidden, not_found
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.container import default_container, validate_containers
from minik8s.control.apiserver.tree import copied

_PATH = "spec.ephemeralContainers"
_NOT_ALLOWED = "cannot be set for an Ephemeral Container"
# What other containers have because pods rely on them. Nobody relies on these.
_FIELDS = ("lifecycle", "livenessProbe", "ports", "readinessProbe", "resources", "resizePolicy", "restartPolicy")
MIRROR = "kubernetes.io/config.mirror"


def write_ephemeral_containers(old: Document, given: Document) -> Document:
    """The pod with the ephemeral containers of what was given, and nothing else of it."""
    new = copied(old)
    containers = [copied(each) for each in given.get("spec", {}).get("ephemeralContainers", ())]
    for container in containers:
        default_container(container)
    new.setdefault("spec", {}).pop("ephemeralContainers", None)
    if containers:
        new["spec"]["ephemeralContainers"] = containers
    for name in ("uid", "resourceVersion"):  # What makes the write conditional.
        if name in given["metadata"]:
            new["metadata"][name] = given["metadata"][name]
    return new


def validate_ephemeral_containers(spec: Document, path: str, *, volumes: set[str], names: set[str]) -> list[Cause]:
    """Causes for those of a pod; `names` are those of its other containers."""
    containers = spec.get("ephemeralContainers", [])
    others = set(names)
    found = validate_containers(containers, path, volumes=volumes, names=names)
    for index, container in enumerate(containers):
        here = f"{path}[{index}]"
        target = container.get("targetContainerName")
        if target and target not in others:
            found.append(not_found(f"{here}.targetContainerName", target))
        found += [
            forbidden(f"{here}.{field}", _NOT_ALLOWED) for field in (*_FIELDS, "startupProbe") if container.get(field)
        ]
        for place, mount in enumerate(container.get("volumeMounts", ())):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    found.append(forbidden(f"{here}.volumeMounts[{place}].{field}", _NOT_ALLOWED))
    return found


def validate_ephemeral_update(new: Document, old: Document) -> list[Cause]:
    """Causes for what an update through the subresource does beyond adding."""
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [forbidden("", "static pods do not support ephemeral containers")]
    found = []
    there = {each.get("name"): each for each in new.get("spec", {}).get("ephemeralContainers", ())}
    for container in old.get("spec", {}).get("ephemeralContainers", ()):
        name = container.get("name", "")
        if name not in there:
            found.append(forbidden(_PATH, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif there[name] != container:
            found.append(forbidden(_PATH, f'existing ephemeral containers "{name}" may not be changed\n'))
    return found


def validate_ephemeral_create(pod: Document) -> list[Cause]:
    """A cause for a pod that begins with some."""
    return [forbidden(_PATH, "cannot be set on create")] if pod.get("spec", {}).get("ephemeralContainers") else []
