"""A question of authorization and its answer. The vocabulary of the package; pure.

Asked by `handler` and `http` for every request, and by whoever else must know what a user may: impersonation,
admission, access reviews. Authorizers are asked in order until one has an opinion (`chain`).
"""

import enum
import json
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authn import User


class Decision(enum.Enum):
    """What an authorizer says. Without anybody's opinion the answer is no."""

    ALLOW = "allow"
    DENY = "deny"  # final: nobody else is asked
    NO_OPINION = "no opinion"


class Verdict(NamedTuple):
    """A decision and, for people, why; the reason may be empty."""

    decision: Decision
    reason: str = ""
    error: str = ""  # why it could not be found out

    @property
    def is_allowed(self) -> bool:
        """Whether the request may go on."""
        return self.decision is Decision.ALLOW


_OF_COLLECTIONS = ("list", "watch", "deletecollection")
NOT_READ = "the apiserver has not read the roles yet"
NO_OPINION = Verdict(Decision.NO_OPINION)


@dataclass(frozen=True, slots=True)
class Attributes:
    """Who wants to do what: a verb on a resource, or on a `path` that is none (then only user, verb and path count)."""

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    field_selector: str = ""  # of a list, watch or deletecollection
    label_selector: str = ""

    def selects(self, field: str) -> str:
        """The value that the field selector pins a field to; empty if it does not, or not in plain words."""
        if "\\" in self.field_selector:  # An escaped comma is part of a value, whatever follows it.
            return ""
        for requirement in self.field_selector.split(",") if self.field_selector else ():
            name, _, value = requirement.partition("=")
            if name == field:
                return value.removeprefix("=")
        return ""

    @property
    def is_resource(self) -> bool:
        """Whether a resource is meant, not a path."""
        return not self.path

    @property
    def full_resource(self) -> str:
        """`pods/log`, `pods`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Authorizer(Protocol):
    """Somebody with opinions."""

    async def authorize(self, attributes: Attributes, /) -> Verdict:
        """Whether this may be done. Never raises: a failure to find out is no opinion, with the error."""
        ...


def of_request(user: User, request: Request) -> Attributes:
    """The question that a call asks."""
    attributes = Attributes(
        user,
        request.verb,
        request.group,
        request.version,
        request.resource,
        request.subresource,
        # As upstream: a namespace is in itself, so that a role in it may let one read it.
        request.name if request.resource == "namespaces" and not request.group else request.namespace,
        request.name,
    )
    if request.query and request.verb in _OF_COLLECTIONS:
        fields, labels = (request.query.get(name, "") for name in ("fieldSelector", "labelSelector"))
        if fields or labels:
            attributes = replace(attributes, field_selector=fields, label_selector=labels)
            if not request.name:  # As upstream: a list or watch of one object by its name is about that object.
                attributes = replace(attributes, name=attributes.selects("metadata.name"))
    return attributes


def refusal(attributes: Attributes, reason: str = "") -> StatusError:
    """403 in upstream's words."""
    user, verb = _quoted(attributes.user.name), attributes.verb
    if not attributes.is_resource:
        message = f"forbidden: User {user} cannot {verb} path {_quoted(attributes.path)}"
        return StatusError("Forbidden", f"{message}: {reason}" if reason else message)
    scope = f"in the namespace {_quoted(attributes.namespace)}" if attributes.namespace else "at the cluster scope"
    what = f"resource {_quoted(attributes.full_resource)} in API group {_quoted(attributes.group)}"
    why = f"User {user} cannot {verb} {what} {scope}"
    if reason:
        why += f": {reason}"
    return errors.forbidden(attributes.resource, attributes.group, attributes.name, why)


def _quoted(text: str) -> str:
    """As Go's %q prints it."""
    return json.dumps(text, ensure_ascii=False)


async def require(authorizer: Authorizer, attributes: Attributes, annotations: dict[str, str] | None = None) -> None:
    """Raises StatusError Forbidden unless it is allowed; InternalError, ServiceUnavailable if nobody knows.

    `annotations` are told what was decided, for the audit log.
    """
    verdict = await authorizer.authorize(attributes)
    if annotations is not None:
        annotations["authorization.k8s.io/decision"] = "allow" if verdict.is_allowed else "forbid"
        annotations["authorization.k8s.io/reason"] = verdict.reason
    if verdict.is_allowed:
        return
    if verdict.error == NOT_READ:
        raise errors.service_unavailable(NOT_READ)
    if verdict.error:
        raise errors.internal(verdict.error)
    raise refusal(attributes, verdict.reason)
