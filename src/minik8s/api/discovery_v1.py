"""The group discovery.k8s.io, version v1: models and kinds."""

from lightkube.models.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice

from minik8s.api.kind import Kind

__all__ = ["ENDPOINTSLICES", "Endpoint", "EndpointConditions", "EndpointPort", "EndpointSlice"]

ENDPOINTSLICES = Kind(EndpointSlice, "discovery.k8s.io", "v1", "endpointslices")
