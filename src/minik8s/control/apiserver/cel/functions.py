"""Every function and operator there is: overloads by the types of their arguments, in libraries. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from minik8s.control.apiserver.cel.types import CelType


@dataclass(frozen=True, slots=True)
class Overload:
    """One meaning of a function. Of a method the first parameter is what it is called on."""

    name: str
    parameters: tuple[str, ...]  # names of types; "dyn" is any, "map" also an object
    result: CelType
    function: Callable[..., Any]
    is_method: bool = False
    is_charged: bool = False  # whether the function is given the Budget first

    @property
    def takes_anything(self) -> bool:
        """Whether the function looks at its arguments itself."""
        return all(parameter == "dyn" for parameter in self.parameters)

    def fits(self, types: Sequence[CelType], is_method: bool) -> bool:
        """Whether it can be meant, as far as types are known."""
        if is_method != self.is_method or len(types) != len(self.parameters):
            return False
        return all(CelType(name).accepts(kind) for name, kind in zip(self.parameters, types, strict=True))

    def takes(self, names: Sequence[str]) -> bool:
        """Whether it takes values of these types."""
        return all(wanted in ("dyn", name) for wanted, name in zip(self.parameters, names, strict=True))


def function(
    name: str, parameters: str, result: CelType, call: Callable[..., Any], *, charged: bool = False
) -> Overload:
    """A function; `parameters` are names of types, separated by spaces."""
    return Overload(name, tuple(parameters.split()), result, call, is_charged=charged)


def method(name: str, parameters: str, result: CelType, call: Callable[..., Any], *, charged: bool = False) -> Overload:
    """A method of its first parameter."""
    return Overload(name, tuple(parameters.split()), result, call, is_method=True, is_charged=charged)


def by_name(*libraries: Sequence[Overload]) -> Mapping[str, tuple[Overload, ...]]:
    """Overloads of several libraries, gathered by the function's name."""
    found: dict[str, tuple[Overload, ...]] = {}
    for overload in chain(*libraries):
        found[overload.name] = (*found.get(overload.name, ()), overload)
    return found
