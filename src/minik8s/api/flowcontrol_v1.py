"""The group flowcontrol.apiserver.k8s.io, version v1: models and kinds."""

from lightkube.models.flowcontrol_v1 import *  # noqa: F403
from lightkube.models.flowcontrol_v1 import FlowSchema, PriorityLevelConfiguration

from minik8s.api.kind import Kind

_GROUP = "flowcontrol.apiserver.k8s.io"

FLOWSCHEMAS = Kind(FlowSchema, _GROUP, "v1", "flowschemas", namespaced=False)
PRIORITYLEVELCONFIGURATIONS = Kind(
    PriorityLevelConfiguration, _GROUP, "v1", "prioritylevelconfigurations", namespaced=False
)
