"""IPAddress: who holds an address. Nobody makes them here: addresses of services are claims (`allocation`)."""

from ipaddress import ip_address
from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.networking_v1 import IPAddress
from minik8s.control.apiserver.causes import immutable, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME


def _name(name: str) -> str | None:
    try:
        address = ip_address(name)
    except ValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    return None if str(address) == name else f'must be in canonical form ("{address}")'


def _default(address: Document) -> None:
    address.setdefault("spec", {})


def _validate(address: Document) -> list[Cause]:
    parent = address["spec"].get("parentRef")
    if not parent:
        return [required("spec.parentRef")]
    return [required(f"spec.parentRef.{field}") for field in ("resource", "name") if not parent.get(field)]


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("spec.parentRef", new["spec"].get("parentRef"), old.get("spec", {}).get("parentRef"))


def _row(address: Document, now_s: float) -> list[Any]:
    parent = address.get("spec", {}).get("parentRef", {})
    steps = (parent.get(field, "") for field in ("resource", "namespace", "name"))
    resource, *rest = steps
    shown = f"{resource}.{parent['group']}" if parent.get("group") else resource
    return [address["metadata"]["name"], "/".join(filter(None, (shown, *rest))), age(address, now_s)]


IPADDRESSES = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="IPAddress",
    plural="ipaddresses",
    namespaced=False,
    model=IPAddress,
    storage_prefix="ipaddresses",
    short_names=("ip",),
    columns=(NAME, Column("ParentRef", description="The object that holds the address."), AGE),
    row=_row,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=_name,
)
