"""Kubernetes failures: one exception class, its reasons, and the Status document it travels as.

Raised in the apiserver's pipeline, rendered by its REST and gRPC adapters, raised again by the client: the same
class on both ends. Reasons, codes and wordings follow k8s.io/apimachinery/pkg/api/errors, as clients match on them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

REASON_CODES = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Gone": 410,
    "Expired": 410,
    "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One detail of a failure; of a validation failure: which field, and what is wrong with it."""

    reason: str  # FieldValueRequired, FieldValueInvalid, …
    message: str
    field: str = ""


class StatusError(Exception):
    """A failed call of the Kubernetes API, as the Status document says it."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        code: int | None = None,
        group: str = "",
        kind: str = "",
        name: str = "",
        uid: str = "",
        causes: Iterable[Cause] = (),
        retry_after_s: int = 0,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = REASON_CODES.get(reason, 500) if code is None else code
        self.group = group
        self.kind = kind  # the plural for 403, 404 and 409; the Kind for 422
        self.name = name
        self.uid = uid
        self.causes = tuple(causes)
        self.retry_after_s = retry_after_s
        self.continue_token = ""  # of an expired page: where an inconsistent list may go on
        self.warnings: tuple[str, ...] = ()  # Of admission before it refused; they travel beside the document.

    def status(self) -> dict[str, Any]:
        """The Status document."""
        details: dict[str, Any] = {}
        for key, value in (("name", self.name), ("group", self.group), ("kind", self.kind), ("uid", self.uid)):
            if value:
                details[key] = value
        if self.causes:
            details["causes"] = [_cause_document(cause) for cause in self.causes]
        if self.retry_after_s:
            details["retryAfterSeconds"] = self.retry_after_s
        metadata = {"continue": self.continue_token} if self.continue_token else {}
        document: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure"}
        document["message"] = self.message
        if self.reason:
            document["reason"] = self.reason
        if details:
            document["details"] = details
        document["code"] = self.code
        return document


def from_status(document: dict[str, Any]) -> StatusError:
    """The exception a Status document stands for."""
    details = document.get("details") or {}
    causes = [
        Cause(cause.get("reason", ""), cause.get("message", ""), cause.get("field", ""))
        for cause in details.get("causes") or ()
    ]
    return StatusError(
        document.get("reason", ""),
        document.get("message", ""),
        code=document.get("code", 500),
        group=details.get("group", ""),
        kind=details.get("kind", ""),
        name=details.get("name", ""),
        uid=details.get("uid", ""),
        causes=causes,
        retry_after_s=details.get("retryAfterSeconds", 0),
    )


def _cause_document(cause: Cause) -> dict[str, str]:
    document = {"reason": cause.reason, "message": cause.message}
    return document | {"field": cause.field} if cause.field else document


def qualified(resource: str, group: str) -> str:
    """`deployments.apps`, `pods`: how messages name a resource."""
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, group: str, name: str) -> StatusError:
    """No such object."""
    message = f'{qualified(resource, group)} "{name}" not found'
    return StatusError("NotFound", message, group=group, kind=resource, name=name)


def already_exists(resource: str, group: str, name: str) -> StatusError:
    """A create of a name that is taken."""
    message = f'{qualified(resource, group)} "{name}" already exists'
    return StatusError("AlreadyExists", message, group=group, kind=resource, name=name)


def conflict(resource: str, group: str, name: str, why: str = "") -> StatusError:
    """An optimistic write whose resourceVersion or uid is not the stored one."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return StatusError("Conflict", message, group=group, kind=resource, name=name)


def forbidden(resource: str, group: str, name: str, why: str) -> StatusError:
    """A call that authorization or admission refuses."""
    quoted = f' "{name}"' if name else ""
    message = f"{qualified(resource, group)}{quoted} is forbidden: {why}"
    return StatusError("Forbidden", message, group=group, kind=resource, name=name)


def invalid(kind: str, group: str, name: str, causes: Iterable[Cause]) -> StatusError:
    """A document that fails validation; `kind` is the Kind."""
    causes = tuple(causes)
    found = [f"{cause.field}: {cause.message}" for cause in causes]
    what = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
    message = f'{qualified(kind, group)} "{name}" is invalid: {what}'
    return StatusError("Invalid", message, group=group, kind=kind, name=name, causes=causes)


def bad_request(message: str) -> StatusError:
    """A request that cannot be understood."""
    return StatusError("BadRequest", message)


def unauthorized() -> StatusError:
    """Credentials that are wrong."""
    return StatusError("Unauthorized", "Unauthorized")


def method_not_allowed() -> StatusError:
    """A verb the resource does not have."""
    return StatusError("MethodNotAllowed", "the server does not allow this method on the requested resource")


def unknown_path() -> StatusError:
    """A path, group, version or resource that is not served."""
    return StatusError("NotFound", "the server could not find the requested resource")


def expired(message: str) -> StatusError:
    """A revision that history no longer holds: list again."""
    return StatusError("Expired", message)


def timeout(message: str, retry_after_s: int = 1) -> StatusError:
    """The outcome is unknown, or the answer took too long."""
    return StatusError("Timeout", message, retry_after_s=retry_after_s)


def service_unavailable(message: str, retry_after_s: int = 1) -> StatusError:
    """Nothing happened; try again."""
    return StatusError("ServiceUnavailable", message, retry_after_s=retry_after_s)


def internal(message: str) -> StatusError:
    """A fault of the server's own."""
    return StatusError("InternalError", f"Internal error occurred: {message}")
