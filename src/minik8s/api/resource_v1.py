"""The group resource.k8s.io, version v1: models and kinds."""

from lightkube.models.resource_v1 import *  # noqa: F403
from lightkube.models.resource_v1 import DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice

from minik8s.api.kind import Kind

DEVICECLASSES = Kind(DeviceClass, "resource.k8s.io", "v1", "deviceclasses", namespaced=False)
RESOURCECLAIMS = Kind(ResourceClaim, "resource.k8s.io", "v1", "resourceclaims")
RESOURCECLAIMTEMPLATES = Kind(ResourceClaimTemplate, "resource.k8s.io", "v1", "resourceclaimtemplates")
RESOURCESLICES = Kind(ResourceSlice, "resource.k8s.io", "v1", "resourceslices", namespaced=False)
