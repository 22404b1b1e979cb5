"""What admission knows of a write besides the document, and what a plugin is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from minik8s.api.errors import Cause, StatusError, forbidden
from minik8s.api.request import Request
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.views import OBJECT, View

_OPERATIONS = {"delete": "DELETE", "deletecollection": "DELETE", "connect": "CONNECT"}


class Reader(Protocol):
    """Reads of other objects, served by the pipeline."""

    async def get(self, plural: str, namespace: str, name: str) -> Document | None:
        """The newest state of an object, or None if there is none."""
        ...

    async def cached(self, plural: str, namespace: str, name: str) -> Document | None:
        """An object as of a moment ago, without a round trip if there is one."""
        ...

    async def list(self, plural: str, namespace: str = "") -> list[Document]:
        """The objects of a kind, of one namespace or of all, as of a moment ago."""
        ...


@dataclass(frozen=True, slots=True)
class Attributes:
    """One write. `old` is None for a create; a delete has `old` alone, its document is empty."""

    verb: str  # create, update, delete (a patch is an update by the time admission sees it; "patch" is taken for one)
    resource: Resource
    namespace: str
    name: str
    subresource: str
    user_name: str
    groups: Sequence[str]
    old: Document | None
    dry_run: bool
    reader: Reader
    warnings: list[str] = field(default_factory=list)  # plugins add; the client sees them as Warning headers
    uid: str = ""  # of the user, with `extra`
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)
    request: Request | None = None  # as it came
    asked: Resource | None = None  # the version the client speaks; None: `resource`, which is the stored one
    view: View = OBJECT  # what clients see of the object in this version or subresource

    @property
    def operation(self) -> str:
        """CREATE, UPDATE, DELETE or CONNECT, as webhooks and policies name them."""
        return _OPERATIONS.get(self.verb) or ("CREATE" if self.old is None or self.verb == "create" else "UPDATE")

    @property
    def audit(self) -> dict[str, str]:
        """Annotations of the audit log's event; plugins add."""
        return {} if self.request is None else self.request.annotations

    def warn(self, text: str) -> None:
        """Tell the client something, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Within the block a refusal carries the warnings there have been so far."""
        try:
            yield
        except StatusError as error:
            error.warnings = tuple(self.warnings)
            raise

    def writes(self, *plurals: str, subresource: str = "") -> bool:
        """Whether this is a create or an update of one of these resources."""
        return self.verb != "delete" and self.resource.plural in plurals and self.subresource == subresource

    def creates(self, *plurals: str) -> bool:
        """Whether this is a create of one of these resources."""
        return self.verb == "create" and self.resource.plural in plurals and not self.subresource

    def refuse(self, why: str, causes: Sequence[Cause] = ()) -> StatusError:
        """403 Forbidden in upstream's words."""
        refusal = forbidden(self.resource.plural, self.resource.group, self.name, why)
        refusal.causes = tuple(causes)
        return refusal


class Plugin:
    """One concern of admission. A plugin overrides what it handles."""

    handles_connect = False  # whether it is asked about requests that are passed on to what runs: pods/proxy

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Fill in or change the document in place. Raises StatusError to refuse."""

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError to refuse."""
