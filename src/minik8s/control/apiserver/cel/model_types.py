"""The types of built-in kinds, as expressions see their objects. Pure; derived when they are asked for.

What an expression sees is JSON: moments, quantities and bytes are text, so of these nothing is known.
"""

from collections.abc import Iterator, Mapping
from functools import cache

import msgspec

from minik8s.control.apiserver.cel.types import BOOL, DOUBLE, DYN, INT, STRING, CelType, list_of, map_of
from minik8s.control.apiserver.shapes import Shape, fields_of

_SCALARS = {"string": STRING, "bool": BOOL, "int32": INT, "int64": INT, "number": DOUBLE}


@cache
def type_of(model: type[msgspec.Struct]) -> CelType:
    """The type of a model's objects."""
    return CelType("object", fields=_Fields(model))


class _Fields(Mapping[str, CelType]):
    """The fields of a model. Models can be recursive, so each type is made when it is looked at."""

    def __init__(self, model: type[msgspec.Struct]) -> None:
        self._fields = fields_of(model)

    def __getitem__(self, name: str) -> CelType:
        return _type(self._fields[name].shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def _type(shape: Shape) -> CelType:
    if shape.form == "object" and shape.model is not None:
        return type_of(shape.model)
    if shape.form == "list" and shape.item is not None:
        return list_of(_type(shape.item))
    if shape.form == "map" and shape.item is not None:
        return map_of(_type(shape.item))
    return _SCALARS.get(shape.form, DYN)
