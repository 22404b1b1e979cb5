"""The group node.k8s.io, version v1: models and kinds."""

from lightkube.models.node_v1 import *  # noqa: F403
from lightkube.models.node_v1 import (
    RuntimeClass,
)

from minik8s.api.kind import Kind

RUNTIMECLASSES = Kind(RuntimeClass, "node.k8s.io", "v1", "runtimeclasses", namespaced=False)
