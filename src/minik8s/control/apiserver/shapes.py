"""Shapes: what a field of a kind may hold, derived from the models of lightkube.

One description serves strict decoding, canonical forms and OpenAPI. The models erase what Go's types say (a Quantity
is a str there, a map of quantities a dict), so shapes are read from the annotations as written, helped by two short
lists of names. Everything is derived on first use: a process pays for the kinds it is asked about.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import msgspec
from lightkube.models.apiextensions_v1 import JSONSchemaProps
from lightkube.models.resource_v1 import Counter, DeviceAttribute, DeviceCapacity, NodeAllocatableResourceMapping

# Forms: object, list, map, any, schema (an object, or what JSON schema allows in its place); string int32 int64 bool
# number bytes quantity time microtime int-or-string.
_SCALARS = {
    "str": "string",
    "bool": "bool",
    "float": "number",
    "Quantity": "quantity",
    "Time": "time",
    "MicroTime": "microtime",
    "IntOrString": "int-or-string",
}
# Integers are 32 bits wide but for these.
_INT64 = re.compile(
    "activeDeadlineSeconds|deletionGracePeriodSeconds|expirationSeconds|fsGroup|generation|gracePeriodSeconds|"
    "limitBytes|nodeAllocatableUpdatePeriodSeconds|observedGeneration|remainingItemCount|revision|runAsGroup|runAsUser|"
    "sinceSeconds|sizeBytes|startingDeadlineSeconds|supplementalGroups|tailLines|terminationGracePeriodSeconds|"
    "tolerationSeconds"
)
# Maps hold strings but for these.
_QUANTITY_MAPS = re.compile(
    "allocatable|allocatedResources|capacity|consumedCapacity|default|defaultRequest|hard|limits|max|maxLimitRequestRatio|min|overhead|"
    "podFixed|requests|resources|used"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be."""

    form: str
    model: type[msgspec.Struct] | None = None  # of an object
    item: "Shape | None" = None  # of a list or a map


# Fields whose type the models do not tell by its name, written MODEL.FIELD.
_BYTES = Shape("bytes")
_TEXTS = Shape("map", item=Shape("list", item=Shape("string")))
_SPECIAL: dict[str, Shape] = {
    "ConfigMap.binaryData": Shape("map", item=_BYTES),
    "Secret.data": Shape("map", item=_BYTES),
    "CertificateSigningRequestSpec.request": _BYTES,
    "CertificateSigningRequestSpec.extra": _TEXTS,
    "CertificateSigningRequestStatus.certificate": _BYTES,
    "PodDisruptionBudgetStatus.disruptedPods": Shape("map", item=Shape("time")),
    "Device.attributes": Shape("map", item=Shape("object", DeviceAttribute)),
    "Device.capacity": Shape("map", item=Shape("object", DeviceCapacity)),
    "Device.nodeAllocatableResourceMappings": Shape("map", item=Shape("object", NodeAllocatableResourceMapping)),
    "CounterSet.counters": Shape("map", item=Shape("object", Counter)),
    "DeviceCounterConsumption.counters": Shape("map", item=Shape("object", Counter)),
    "JSONSchemaProps.properties": Shape("map", item=Shape("object", JSONSchemaProps)),
    "JSONSchemaProps.patternProperties": Shape("map", item=Shape("object", JSONSchemaProps)),
    "JSONSchemaProps.definitions": Shape("map", item=Shape("object", JSONSchemaProps)),
    "JSONSchemaProps.dependencies": Shape("any"),
    "JSONSchemaProps.items": Shape("schema", JSONSchemaProps),
    "JSONSchemaProps.additionalItems": Shape("schema", JSONSchemaProps),
    "JSONSchemaProps.additionalProperties": Shape("schema", JSONSchemaProps),
    "SubjectAccessReviewSpec.extra": _TEXTS,
    "UserInfo.extra": _TEXTS,
    "WebhookClientConfig.caBundle": _BYTES,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object."""

    name: str  # as documents spell it
    shape: Shape
    required: bool


@cache
def fields_of(model: type[msgspec.Struct]) -> Mapping[str, Field]:
    """The fields of a model by name, in the order the model has them."""
    written = model.__annotations__
    fields = {}
    for attribute, name in zip(model.__struct_fields__, model.__struct_encode_fields__, strict=True):
        annotation = written[attribute]
        optional = re.fullmatch(r"Optional\[(.*)\]", annotation)
        fields[name] = Field(name, _shape(model, name, optional[1] if optional else annotation), not optional)
    return MappingProxyType(fields)


def _shape(model: type[msgspec.Struct], name: str, annotation: str) -> Shape:
    if special := _SPECIAL.get(f"{model.__name__}.{name}"):
        return special
    if inner := re.fullmatch(r"List\[(.*)\]", annotation):
        return Shape("list", item=_shape(model, name, inner[1]))
    leaf = annotation.rpartition(".")[2]
    if leaf == "int":
        return Shape("int64" if _INT64.fullmatch(name) else "int32")
    if leaf == "dict":
        return Shape("map", item=Shape("quantity" if _QUANTITY_MAPS.fullmatch(name) else "string"))
    if leaf in _SCALARS:
        return Shape(_SCALARS[leaf])
    found: object = sys.modules[model.__module__]
    for part in annotation.split("."):
        found = getattr(found, part)
    if isinstance(found, type) and issubclass(found, msgspec.Struct):
        return Shape("object", model=found)
    return Shape("any")


def go_type(shape: Shape) -> str:
    """How Go spells the type, for messages."""
    if shape.form == "list" and shape.item:
        return f"[]{go_type(shape.item)}"
    if shape.form == "map" and shape.item:
        return "v1.ResourceList" if shape.item.form == "quantity" else f"map[string]{go_type(shape.item)}"
    if shape.model:
        return f"{shape.model.__module__.rpartition('_')[2]}.{shape.model.__name__}"
    return {"number": "float64", "bytes": "[]uint8", "int-or-string": "int32", "any": "interface {}"}.get(
        shape.form, shape.form
    )
