"""The core group, version v1: models and kinds."""

from lightkube.models.core_v1 import *  # noqa: F403
from lightkube.models.core_v1 import (  # noqa: F401  (type checkers do not see through the star)
    ConfigMap,
    Container,
    Endpoints,
    EnvVar,
    Event,
    KeyToPath,
    LifecycleHandler,
    LimitRange,
    Namespace,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodCondition,
    PodTemplate,
    Probe,
    ReplicationController,
    ResourceFieldSelector,
    ResourceQuota,
    Secret,
    Service,
    ServiceAccount,
    ServiceAccountTokenProjection,
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
ENDPOINTS = Kind(Endpoints, "", "v1", "endpoints")
LIMITRANGES = Kind(LimitRange, "", "v1", "limitranges")
PERSISTENTVOLUMECLAIMS = Kind(PersistentVolumeClaim, "", "v1", "persistentvolumeclaims")
PERSISTENTVOLUMES = Kind(PersistentVolume, "", "v1", "persistentvolumes", namespaced=False)
PODTEMPLATES = Kind(PodTemplate, "", "v1", "podtemplates")
REPLICATIONCONTROLLERS = Kind(ReplicationController, "", "v1", "replicationcontrollers")
RESOURCEQUOTAS = Kind(ResourceQuota, "", "v1", "resourcequotas")
SECRETS = Kind(Secret, "", "v1", "secrets")
SERVICEACCOUNTS = Kind(ServiceAccount, "", "v1", "serviceaccounts")
