"""PersistentVolumeClaimResize: a claim grows only where its class can make volumes grow."""

from minik8s.api.quantity import parse
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"


class PersistentVolumeClaimResize(Plugin):
    """Judges updates that ask for more."""

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden."""
        old = attributes.old
        if not attributes.writes("persistentvolumeclaims") or old is None or _asked(document) <= _asked(old):
            return
        if old.get("status", {}).get("phase") != "Bound":
            raise attributes.refuse("Only bound persistent volume claims can be expanded")
        name = _class(document)
        found = None
        if name and name == _class(old):
            found = await attributes.reader.cached("storageclasses", "", name)
        if not (found or {}).get("allowVolumeExpansion"):
            raise attributes.refuse(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc "
                "must support resize"
            )


def _asked(claim: Document) -> int:
    requests = claim.get("spec", {}).get("resources", {}).get("requests", {})
    return int(parse(requests.get("storage", "0")))


def _class(claim: Document) -> str:
    annotations = claim["metadata"].get("annotations") or {}
    return annotations.get(_OLD_CLASS) or claim.get("spec", {}).get("storageClassName", "")
