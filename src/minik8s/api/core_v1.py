"""The core group, version v1: models and kinds."""

from lightkube.models.core_v1 import *  # noqa: F403
from lightkube.models.core_v1 import (  # noqa: F401  (type checkers do not see through the star)
    ConfigMap,
    Container,
    EnvVar,
    Event,
    KeyToPath,
    LifecycleHandler,
    Namespace,
    Node,
    Pod,
    PodCondition,
    Probe,
    ResourceFieldSelector,
    Service,
    Taint,
    Toleration,
    Volume,
)

from minik8s.api.kind import Kind

NAMESPACES = Kind(Namespace, "", "v1", "namespaces", namespaced=False)
NODES = Kind(Node, "", "v1", "nodes", namespaced=False)
PODS = Kind(Pod, "", "v1", "pods")
SERVICES = Kind(Service, "", "v1", "services")
CONFIGMAPS = Kind(ConfigMap, "", "v1", "configmaps")
EVENTS = Kind(Event, "", "v1", "events")
