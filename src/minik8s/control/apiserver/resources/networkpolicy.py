"""NetworkPolicy: which pods may talk to which."""

from ipaddress import ip_network
from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.networking_v1 import NetworkPolicy
from minik8s.api.selectors import format_label_selector
from minik8s.control.apiserver.causes import forbidden, invalid, one_of, port_number, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.container import PROTOCOLS
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.podtemplate import validate_label_selector
from minik8s.control.apiserver.resources.probe import validate_port_reference

_DIRECTIONS = (("ingress", "from"), ("egress", "to"))


def _default(policy: Document) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    for direction, _ in _DIRECTIONS:
        for rule in spec.get(direction, ()):
            for port in rule.get("ports", ()):
                port["protocol"] = port.get("protocol") or "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _validate(policy: Document) -> list[Cause]:
    spec = policy["spec"]
    found = validate_label_selector(spec["podSelector"], "spec.podSelector")
    for direction, peers in _DIRECTIONS:
        for index, rule in enumerate(spec.get(direction, ())):
            path = f"spec.{direction}[{index}]"
            for place, port in enumerate(rule.get("ports", ())):
                found += _validate_port(port, f"{path}.ports[{place}]")
            for place, peer in enumerate(rule.get(peers, ())):
                found += _validate_peer(peer, f"{path}.{peers}[{place}]")
    types = spec["policyTypes"]
    if len(types) > 2:
        found.append(invalid("spec.policyTypes", types, "may not specify more than two policyTypes"))
        return found
    for index, kind in enumerate(types):
        found += one_of(f"spec.policyTypes[{index}]", kind, ("Egress", "Ingress"))
    return found


def _validate_port(port: Document, path: str) -> list[Cause]:
    found = one_of(f"{path}.protocol", port["protocol"], PROTOCOLS)
    number, end = port.get("port"), port.get("endPort")
    if number is not None:
        found += validate_port_reference(number, f"{path}.port")
    if end is None:
        return found
    if number is None:
        found.append(required(f"{path}.port", "must be specified when `endPort` is specified"))
    elif isinstance(number, str):
        found.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
    elif end < number:
        found.append(invalid(f"{path}.endPort", end, "must be greater than or equal to `port`"))
    return found + port_number(f"{path}.endPort", end)


def _validate_peer(peer: Document, path: str) -> list[Cause]:
    if not peer:
        return [required(path, "must specify a peer")]
    found = []
    for name in ("podSelector", "namespaceSelector"):
        if name in peer:
            found += validate_label_selector(peer[name], f"{path}.{name}")
    if "ipBlock" in peer:
        if len(peer) > 1:
            return [*found, forbidden(path, "may not specify both ipBlock and another peer")]
        found += _validate_block(peer["ipBlock"], f"{path}.ipBlock")
    return found


def _validate_block(block: Document, path: str) -> list[Cause]:
    text = block.get("cidr", "")
    if not text:
        return [required(f"{path}.cidr")]
    network = _network(text)
    found = [] if network else [_not_a_network(f"{path}.cidr", text)]
    for index, excepted in enumerate(block.get("except", ())):
        here, inner = f"{path}.except[{index}]", _network(excepted)
        if inner is None:
            found.append(_not_a_network(here, excepted))
        elif network and (inner.version != network.version or not _is_within(inner, network)):
            found.append(invalid(here, excepted, "must be a strict subset of `cidr`"))
    return found


def _network(text: str) -> Any:
    try:
        return ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _is_within(inner: Any, outer: Any) -> bool:
    return bool(inner != outer and inner.subnet_of(outer))


def _not_a_network(path: str, text: str) -> Cause:
    return invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")


def _row(policy: Document, now_s: float) -> list[Any]:
    selector = format_label_selector(policy.get("spec", {}).get("podSelector", {}))
    return [policy["metadata"]["name"], selector, age(policy, now_s)]


NETWORKPOLICIES = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    namespaced=True,
    model=NetworkPolicy,
    storage_prefix="networkpolicies",
    short_names=("netpol",),
    columns=(NAME, Column("Pod-Selector", description="The pods it is about."), AGE),
    row=_row,
    default=_default,
    validate=_validate,
    validate_name=subdomain_name,
)
