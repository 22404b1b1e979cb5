"""The group scheduling.k8s.io, version v1: models and kinds."""

from lightkube.models.scheduling_v1 import *  # noqa: F403
from lightkube.models.scheduling_v1 import (
    PriorityClass,
)

from minik8s.api.kind import Kind

PRIORITYCLASSES = Kind(PriorityClass, "scheduling.k8s.io", "v1", "priorityclasses", namespaced=False)
