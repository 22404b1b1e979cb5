"""The group apiextensions.k8s.io, version v1: of a definition what says where its kind is, without the schemas."""

import msgspec

from minik8s.api.kind import Kind
from minik8s.api.meta_v1 import ObjectMeta


class DefinitionNames(msgspec.Struct):
    """How a kind is called."""

    plural: str
    kind: str


class DefinitionVersion(msgspec.Struct):
    """One version of a kind."""

    name: str
    served: bool
    storage: bool


class DefinitionCondition(msgspec.Struct):
    """What the server found out about a definition."""

    type: str
    status: str


class DefinitionSpec(msgspec.Struct):
    """Where a kind is served."""

    group: str
    names: DefinitionNames
    scope: str
    versions: list[DefinitionVersion]


class DefinitionStatus(msgspec.Struct):
    """Whether it is."""

    conditions: list[DefinitionCondition] | None = None


class CustomResourceDefinition(msgspec.Struct):
    """A kind that a client brought."""

    metadata: ObjectMeta
    spec: DefinitionSpec
    status: DefinitionStatus | None = None
    apiVersion: str = ""
    kind: str = ""


CUSTOMRESOURCEDEFINITIONS = Kind(
    CustomResourceDefinition, "apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False
)
