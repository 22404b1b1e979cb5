"""The kinds that controllers for every kind work on. Discovery will extend it when there are custom resources."""

from typing import Any

from minik8s.api.apps_v1 import DEPLOYMENTS, REPLICASETS
from minik8s.api.coordination_v1 import LEASES
from minik8s.api.core_v1 import CONFIGMAPS, EVENTS, NAMESPACES, NODES, PODS, SERVICES
from minik8s.api.discovery_v1 import ENDPOINTSLICES
from minik8s.api.kind import Kind

# Owners before what they own, so that a namespace is not refilled while it is emptied. Events last: they tell of it.
KINDS: tuple[Kind[Any], ...] = (
    DEPLOYMENTS,
    REPLICASETS,
    SERVICES,
    ENDPOINTSLICES,
    PODS,
    CONFIGMAPS,
    LEASES,
    NODES,
    NAMESPACES,
    EVENTS,
)
