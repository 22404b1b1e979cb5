"""The group networking.k8s.io, version v1: models and kinds."""

from lightkube.models.networking_v1 import *  # noqa: F403
from lightkube.models.networking_v1 import (
    Ingress,
    IngressClass,
    IPAddress,
    NetworkPolicy,
    ServiceCIDR,
)

from minik8s.api.kind import Kind

INGRESSES = Kind(Ingress, "networking.k8s.io", "v1", "ingresses")
INGRESSCLASSES = Kind(IngressClass, "networking.k8s.io", "v1", "ingressclasses", namespaced=False)
NETWORKPOLICIES = Kind(NetworkPolicy, "networking.k8s.io", "v1", "networkpolicies")
IPADDRESSES = Kind(IPAddress, "networking.k8s.io", "v1", "ipaddresses", namespaced=False)
SERVICECIDRS = Kind(ServiceCIDR, "networking.k8s.io", "v1", "servicecidrs", namespaced=False)
