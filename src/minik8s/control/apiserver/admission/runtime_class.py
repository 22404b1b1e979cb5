"""RuntimeClass: what a pod's runtime costs, and where it is to be found, comes from its RuntimeClass."""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

_MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"


class RuntimeClass(Plugin):
    """Fills in overhead, node selector and tolerations of new pods."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden if the class is missing or says otherwise than the pod."""
        if not attributes.creates("pods"):
            return
        spec = document.setdefault("spec", {})
        found = await _class_of(spec, attributes)
        overhead = (found.get("overhead") or {}).get("podFixed")
        if overhead is not None:
            if spec.get("overhead", overhead) != overhead:
                raise attributes.refuse(_MISMATCH)
            spec["overhead"] = dict(overhead)
        scheduling = found.get("scheduling") or {}
        own = spec.get("nodeSelector", {})
        for key, value in scheduling.get("nodeSelector", {}).items():
            if own.get(key, value) != value:
                raise attributes.refuse(
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                    f"pod.spec.nodeSelector[{key}] = {own[key]}"
                )
        if scheduling.get("nodeSelector"):
            spec["nodeSelector"] = own | scheduling["nodeSelector"]
        if missing := [each for each in scheduling.get("tolerations", ()) if each not in spec.get("tolerations", [])]:
            spec["tolerations"] = spec.get("tolerations", []) + missing

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """No other plugin, and no webhook, has changed the overhead."""
        if not attributes.creates("pods"):
            return
        spec = document.get("spec", {})
        overhead = ((await _class_of(spec, attributes)).get("overhead") or {}).get("podFixed")
        if overhead is not None and spec.get("overhead") != overhead:
            raise attributes.refuse(_MISMATCH)
        if overhead is None and spec.get("overhead"):
            raise attributes.refuse(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            )


async def _class_of(spec: Document, attributes: Attributes) -> Document:
    name = spec.get("runtimeClassName")
    if not name:
        return {}
    found = await attributes.reader.cached("runtimeclasses", "", name)
    if found is None:
        raise attributes.refuse(f'pod rejected: RuntimeClass "{name}" not found')
    return found
