"""What admission knows of a write besides the document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from minik8s.control.apiserver.resource import Document, Resource


class Reader(Protocol):
    """Reads of other objects, served by the pipeline."""

    async def get(self, plural: str, namespace: str, name: str) -> Document | None:
        """The object, or None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Attributes:
    """One write. `old` is None for a create; the document of a delete is empty and `old` is what goes."""

    verb: str  # create, update, patch, delete
    resource: Resource
    namespace: str
    name: str
    subresource: str
    user_name: str
    groups: Sequence[str]
    old: Document | None
    dry_run: bool
    reader: Reader

    def refuse(self, why: str, **details: Any) -> Exception:
        """403 Forbidden, with upstream's prefix."""
        from minik8s.api.errors import forbidden

        return forbidden(self.resource.plural, self.resource.group, self.name, why)
