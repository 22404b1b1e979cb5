"""Lease: who holds something, and since when; the heartbeat of nodes and the lock of leaders."""

from typing import Any

from minik8s.api.coordination_v1 import Lease
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME


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
)
