"""The group storage.k8s.io, version v1: models and kinds."""

from lightkube.models.storage_v1 import *  # noqa: F403
from lightkube.models.storage_v1 import (
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    StorageClass,
    VolumeAttachment,
    VolumeAttributesClass,
)

from minik8s.api.kind import Kind

CSIDRIVERS = Kind(CSIDriver, "storage.k8s.io", "v1", "csidrivers", namespaced=False)
CSINODES = Kind(CSINode, "storage.k8s.io", "v1", "csinodes", namespaced=False)
CSISTORAGECAPACITIES = Kind(CSIStorageCapacity, "storage.k8s.io", "v1", "csistoragecapacities")
STORAGECLASSES = Kind(StorageClass, "storage.k8s.io", "v1", "storageclasses", namespaced=False)
VOLUMEATTACHMENTS = Kind(VolumeAttachment, "storage.k8s.io", "v1", "volumeattachments", namespaced=False)
VOLUMEATTRIBUTESCLASSES = Kind(
    VolumeAttributesClass, "storage.k8s.io", "v1", "volumeattributesclasses", namespaced=False
)
