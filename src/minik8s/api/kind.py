"""A kind: the Struct its documents decode into, and where the API serves it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """Ties a typed model to its place in the API.

    PODS = Kind(Pod, "", "v1", "pods")
    pod: Pod = await client.get(PODS, "web", namespace="default")
    """

    model: type[T]
    group: str  # "" is the core group
    version: str
    plural: str
    namespaced: bool = True

    @property
    def name(self) -> str:
        """The kind as documents spell it: `Pod`."""
        return self.model.__name__

    @property
    def api_version(self) -> str:
        """The apiVersion as documents spell it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version
