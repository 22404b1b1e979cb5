"""DefaultStorageClass and DefaultIngressClass: who names no class gets the one that is marked as the default."""

from collections.abc import Iterable

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

_STORAGE_MARKS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_OLD_STORAGE_CLASS = "volume.beta.kubernetes.io/storage-class"
_INGRESS_MARKS = ("ingressclass.kubernetes.io/is-default-class",)
_OLD_INGRESS_CLASS = "kubernetes.io/ingress.class"


class DefaultStorageClass(Plugin):
    """Of new claims. An empty name is a choice: no class."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Fill in spec.storageClassName."""
        if not attributes.creates("persistentvolumeclaims"):
            return
        spec = document.setdefault("spec", {})
        if "storageClassName" in spec or _OLD_STORAGE_CLASS in document["metadata"].get("annotations", {}):
            return
        if name := _default(await attributes.reader.list("storageclasses"), _STORAGE_MARKS):
            spec["storageClassName"] = name


class DefaultIngressClass(Plugin):
    """Of new ingresses."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Fill in spec.ingressClassName."""
        if not attributes.creates("ingresses"):
            return
        spec = document.setdefault("spec", {})
        if "ingressClassName" in spec or _OLD_INGRESS_CLASS in document["metadata"].get("annotations", {}):
            return
        if name := _default(await attributes.reader.list("ingressclasses"), _INGRESS_MARKS):
            spec["ingressClassName"] = name


def _default(classes: Iterable[Document], marks: Iterable[str]) -> str:
    """The default class: of several the newest, as upstream; "" if there is none."""
    marked = [
        each["metadata"]
        for each in classes
        if any((each["metadata"].get("annotations") or {}).get(mark) == "true" for mark in marks)
    ]
    newest = max((each.get("creationTimestamp", "") for each in marked), default="")
    return min((each["name"] for each in marked if each.get("creationTimestamp", "") == newest), default="")
