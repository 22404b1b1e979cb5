"""StorageObjectInUseProtection: volumes and claims do not go while somebody uses them.

Each gets a finalizer as it is created; the controllers `pvcprotection` and `pvprotection` take it away when the object
is to go and nobody uses it.
"""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

FINALIZERS = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
}


class StorageObjectInUseProtection(Plugin):
    """Adds the finalizers."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Of new objects only: who takes the finalizer away later means it."""
        if attributes.creates(*FINALIZERS):
            finalizers = document["metadata"].setdefault("finalizers", [])
            if (name := FINALIZERS[attributes.resource.plural]) not in finalizers:
                finalizers.append(name)
