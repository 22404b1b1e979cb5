"""ServiceCIDR: a range of addresses for services. Ours come from --service-cluster-ip-range alone."""

from ipaddress import ip_network
from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.networking_v1 import ServiceCIDR
from minik8s.control.apiserver.causes import immutable, invalid, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status


def _default(cidr: Document) -> None:
    cidr.setdefault("spec", {})


def _prepare_create(cidr: Document) -> None:
    cidr["status"] = {}


def _validate(cidr: Document) -> list[Cause]:
    cidrs = cidr["spec"].get("cidrs", [])
    if not cidrs:
        return [required("spec.cidrs", "at least one CIDR required")]
    if len(cidrs) > 2:
        return [invalid("spec", cidr["spec"], "may only hold up to 2 values")]
    found, families = [], []
    for index, text in enumerate(cidrs):
        try:
            families.append(ip_network(text).version)
        except ValueError:
            why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            found.append(invalid(f"spec.cidrs[{index}]", text, why))
    if len(families) == 2 and families[0] == families[1]:
        why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        found.append(invalid("spec.cidrs", cidrs, why))
    return found


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("spec.cidrs", new["spec"].get("cidrs"), old.get("spec", {}).get("cidrs"))


def _row(cidr: Document, now_s: float) -> list[Any]:
    return [cidr["metadata"]["name"], ",".join(cidr.get("spec", {}).get("cidrs", ())), age(cidr, now_s)]


SERVICECIDRS = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    model=ServiceCIDR,
    storage_prefix="servicecidrs",
    subresources=("status",),
    columns=(NAME, Column("CIDRs", description="The ranges."), AGE),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
