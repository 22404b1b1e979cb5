"""The kinds the apiserver serves; ALL is the one list that routes, discovery and OpenAPI are driven by."""

from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.resources.configmap import CONFIGMAPS
from minik8s.control.apiserver.resources.deployment import DEPLOYMENTS
from minik8s.control.apiserver.resources.endpointslice import ENDPOINTSLICES
from minik8s.control.apiserver.resources.event import EVENTS
from minik8s.control.apiserver.resources.lease import LEASES
from minik8s.control.apiserver.resources.namespace import NAMESPACES
from minik8s.control.apiserver.resources.node import NODES
from minik8s.control.apiserver.resources.pod import PODS
from minik8s.control.apiserver.resources.replicaset import REPLICASETS
from minik8s.control.apiserver.resources.service import SERVICES

# Groups appear in discovery in the order of their first kind here.
ALL: tuple[Resource, ...] = (
    CONFIGMAPS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
    DEPLOYMENTS,
    REPLICASETS,
    LEASES,
    ENDPOINTSLICES,
)
