"""PodNodeSelector: an annotation of a namespace says on which nodes its pods run."""

from minik8s.api.selectors import parse_labels
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

ANNOTATION = "scheduler.alpha.kubernetes.io/node-selector"


class PodNodeSelector(Plugin):
    """Off unless asked for, as upstream."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Merge the namespace's selector into that of a new pod. Raises StatusError Forbidden if they contradict."""
        if not attributes.creates("pods"):
            return
        namespace = await attributes.reader.cached("namespaces", "", attributes.namespace) or {"metadata": {}}
        text = (namespace["metadata"].get("annotations") or {}).get(ANNOTATION, "")
        wanted = {each.key: each.values[0] for each in parse_labels(text).requirements if each.operator in ("=", "==")}
        if not wanted:
            return
        spec = document.setdefault("spec", {})
        own = spec.get("nodeSelector", {})
        if any(own.get(key, value) != value for key, value in wanted.items()):
            raise attributes.refuse("pod node label selector conflicts with its namespace node label selector")
        spec["nodeSelector"] = wanted | own
