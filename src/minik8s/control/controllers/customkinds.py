"""The kinds that CustomResourceDefinitions bring, for the controllers of every kind. Pure.

Kinds of extension apiservers (APIService) are not followed: they have their own ideas of what an object is.
"""

from functools import cache
from typing import Any

import msgspec

from minik8s.api.apiextensions_v1 import CustomResourceDefinition
from minik8s.api.kind import Kind
from minik8s.client.unstructured import PartialObject


def kind_of(definition: CustomResourceDefinition) -> Kind[Any] | None:
    """The kind, read as its metadata alone; None while it is not served."""
    conditions = (definition.status.conditions if definition.status else None) or ()
    if not any(each.type == "Established" and each.status == "True" for each in conditions):
        return None
    spec = definition.spec
    served = [version for version in spec.versions if version.served]
    if not served:
        return None
    version = next((version for version in served if version.storage), served[0])
    namespaced = spec.scope == "Namespaced"
    return Kind(_model(spec.names.kind), spec.group, version.name, spec.names.plural, namespaced)


def place_of(kind: Kind[Any]) -> str:
    """What tells a kind from all others: `gadgets.example.com`."""
    return f"{kind.plural}.{kind.group}"


@cache
def _model(name: str) -> type[msgspec.Struct]:
    """PartialObject by another name: a Kind is called after its model."""
    return msgspec.defstruct(name, [], bases=(PartialObject,), omit_defaults=True)
