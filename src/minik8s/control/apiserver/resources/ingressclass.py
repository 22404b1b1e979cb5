"""IngressClass: who serves Ingresses of a kind."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import dns_subdomain_faults
from minik8s.api.networking_v1 import IngressClass
from minik8s.control.apiserver.causes import each_invalid, forbidden, immutable, invalid, one_of, required, too_long
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

_CONTROLLER_BYTES_MAX = 250


def _default(ingressclass: Document) -> None:
    parameters = ingressclass.setdefault("spec", {}).get("parameters")
    if parameters is not None:
        parameters["scope"] = parameters.get("scope") or "Cluster"


def _validate(ingressclass: Document) -> list[Cause]:
    spec = ingressclass["spec"]
    controller = spec.get("controller", "")
    found = []
    if len(controller) > _CONTROLLER_BYTES_MAX:
        found.append(too_long("spec.controller", _CONTROLLER_BYTES_MAX))
    found += validate_domain_path(controller, "spec.controller") if controller else [required("spec.controller")]
    parameters = spec.get("parameters")
    if parameters is None:
        return found
    found += [required(f"spec.parameters.{field}") for field in ("kind", "name") if not parameters.get(field)]
    found += one_of("spec.parameters.scope", parameters["scope"], ("Cluster", "Namespace"))
    if parameters["scope"] == "Namespace" and not parameters.get("namespace"):
        found.append(required("spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'"))
    if parameters["scope"] == "Cluster" and "namespace" in parameters:
        found.append(forbidden("spec.parameters.namespace", "`parameters.scope` is set to 'Cluster'"))
    return found


def validate_domain_path(text: str, path: str) -> list[Cause]:
    """Causes for a name such as `example.com/controller`."""
    domain, slash, rest = text.partition("/")
    if not domain or not slash or not rest:
        return [invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    return each_invalid(path, domain, dns_subdomain_faults(domain))


def _validate_update(new: Document, old: Document) -> list[Cause]:
    return immutable("spec.controller", new["spec"].get("controller"), old.get("spec", {}).get("controller"))


def _parameters(spec: Document) -> str:
    parameters = spec.get("parameters")
    if parameters is None:
        return NONE
    kind = parameters.get("kind", "")
    if group := parameters.get("apiGroup"):
        kind = f"{kind}.{group}"
    return f"{kind}/{parameters.get('name', '')}"


def _row(ingressclass: Document, now_s: float) -> list[Any]:
    spec = ingressclass.get("spec", {})
    name = ingressclass["metadata"]["name"]
    return [name, spec.get("controller", ""), _parameters(spec), age(ingressclass, now_s)]


INGRESSCLASSES = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    model=IngressClass,
    storage_prefix="ingressclasses",
    columns=(
        NAME,
        Column("Controller", description="Who serves the class."),
        Column("Parameters", description="The object that configures it."),
        AGE,
    ),
    row=_row,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
)
