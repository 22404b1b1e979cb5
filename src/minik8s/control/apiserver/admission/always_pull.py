"""AlwaysPullImages: every start of a container asks the registry, so that a private image needs its credentials."""

from collections.abc import Iterator

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

_PARTS = ("initContainers", "containers", "ephemeralContainers")


class AlwaysPullImages(Plugin):
    """Off unless asked for, as upstream."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Of new pods, and of updates that bring a new image."""
        if not (attributes.writes("pods") or attributes.writes("pods", subresource="ephemeralcontainers")):
            return
        known = {each.get("image") for each in _containers(attributes.old or {})}
        for container in _containers(document):
            if attributes.old is None or container.get("image") not in known:
                container["imagePullPolicy"] = "Always"


def _containers(pod: Document) -> Iterator[Document]:
    for part in _PARTS:
        yield from pod.get("spec", {}).get(part, ())
