"""The group coordination.k8s.io, version v1: models and kinds."""

from lightkube.models.coordination_v1 import Lease, LeaseSpec

from minik8s.api.kind import Kind

__all__ = ["LEASES", "Lease", "LeaseSpec"]

LEASES = Kind(Lease, "coordination.k8s.io", "v1", "leases")
