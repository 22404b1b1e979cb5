"""An authorized write, as `handler` gives it to `pipeline`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from minik8s.api import errors
from minik8s.api.request import Request
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.resource import Resource


async def _may() -> None:
    """The leave of those whose leave is not asked."""


@dataclass(frozen=True, slots=True)
class Call:
    """Who wants what written."""

    user: User
    resource: Resource
    request: Request
    asked: Resource | None = None  # the version the client speaks, if it is not the stored one
    # Raises StatusError Forbidden unless the user may create the object too: an apply does if there is none.
    may_create: Callable[[], Awaitable[None]] = _may

    @property
    def spoken(self) -> Resource:
        """The kind in the version the client speaks."""
        return self.asked or self.resource

    @property
    def is_dry_run(self) -> bool:
        """Whether everything is done but the commit."""
        return self.request.query.get("dryRun", "") == "All"

    @property
    def field_validation(self) -> str:
        """What becomes of unknown fields: Ignore, Warn (if not said) or Strict."""
        return self.request.query.get("fieldValidation") or "Warn"

    def not_found(self) -> errors.StatusError:
        """The 404 of this call's object."""
        return errors.not_found(self.resource.plural, self.resource.group, self.request.name)
