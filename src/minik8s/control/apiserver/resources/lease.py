"""Lease: who holds something, and since when; the heartbeat of nodes and the lock of leaders."""

from typing import Any

from minik8s.api.coordination_v1 import Lease
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import invalid, not_negative
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name


def _validate(lease: Document) -> list[Cause]:
    spec = lease.get("spec", {})
    found = not_negative("spec.leaseTransitions", spec.get("leaseTransitions", 0))
    if spec.get("leaseDurationSeconds", 1) <= 0:
        found.append(invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0"))
    return found


def _row(lease: Document, now_s: float) -> list[Any]:
    return [lease["metadata"]["name"], lease.get("spec", {}).get("holderIdentity", ""), age(lease, now_s)]


LEASES = Resource(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    namespaced=True,
    model=Lease,
    storage_prefix="leases",
    columns=(NAME, Column("Holder", description="Who holds the lease."), AGE),
    row=_row,
    validate=_validate,
    validate_name=subdomain_name,
)
