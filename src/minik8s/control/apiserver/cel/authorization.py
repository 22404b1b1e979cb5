"""Kubernetes' authorizer library: what an expression may ask about who may do what.

Authorizers answer asynchronously, expressions do not wait: a question that has not been answered yet ends the
evaluation (Undecided), and whoever evaluates finds the answer and evaluates again (`admission/dynamic/expressions`).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import Attributes, Verdict
from minik8s.control.apiserver.cel.errors import Aborted, CelError
from minik8s.control.apiserver.cel.functions import method
from minik8s.control.apiserver.cel.types import BOOL, STRING, CelType
from minik8s.control.apiserver.cel.values import Opaque

AUTHORIZER = CelType("kubernetes.authorization.Authorizer")
CHECK = CelType("kubernetes.authorization.Check")
DECISION = CelType("kubernetes.authorization.Decision")


class Undecided(Aborted):
    """A question that must be answered before the expression can go on."""

    def __init__(self, question: Attributes) -> None:
        super().__init__("the authorizer has not been asked yet")
        self.question = question


@dataclass(slots=True, eq=False)
class Authorizer(Opaque):
    """Questions in the name of a user. `answers` are those known so far; failures to find out are texts."""

    user: User
    answers: dict[Attributes, Verdict] = dataclasses.field(default_factory=dict)
    request: Mapping[str, Any] | None = None  # the AdmissionRequest, for `authorizer.requestResource`

    type_name = AUTHORIZER.name

    def field(self, name: str) -> "Check":
        """`requestResource`. Raises CelError."""
        if name != "requestResource" or self.request is None:
            raise CelError(f"no such field: {name}")
        asked = self.request["requestResource"]
        about = [self.request.get(each, "") for each in ("requestSubResource", "namespace", "name")]
        return Check(self, Attributes(self.user, "", asked["group"], asked["version"], asked["resource"], *about))


@dataclass(frozen=True, slots=True, eq=False)
class Check(Opaque):
    """A question in the making."""

    authorizer: Authorizer
    question: Attributes

    type_name = CHECK.name


@dataclass(frozen=True, slots=True, eq=False)
class Decision(Opaque):
    """An answer."""

    verdict: Verdict

    type_name = DECISION.name


def _path(authorizer: Authorizer, path: str) -> Check:
    if not path:
        raise CelError("path must not be empty")
    return Check(authorizer, Attributes(authorizer.user, "get", path=path))


def _with(name: str) -> Any:
    return lambda check, value: replace(check, question=replace(check.question, **{name: value}))


def _resource(check: Check, resource: str) -> Check:
    return replace(check, question=replace(check.question, resource=resource))


def _check(check: Check, verb: str) -> Decision:
    question = replace(check.question, verb=verb)
    found = check.authorizer.answers.get(question)
    if found is None:
        raise Undecided(question)
    return Decision(found)


def _service_account(authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return Authorizer(User(f"system:serviceaccount:{namespace}:{name}", groups), authorizer.answers)


AUTHORIZATION = (
    method("path", f"{AUTHORIZER.name} string", CHECK, _path),
    method("group", f"{AUTHORIZER.name} string", CHECK, lambda a, g: Check(a, Attributes(a.user, "", g, "*"))),
    method("serviceAccount", f"{AUTHORIZER.name} string string", AUTHORIZER, _service_account),
    method("resource", f"{CHECK.name} string", CHECK, _resource),
    method("subresource", f"{CHECK.name} string", CHECK, _with("subresource")),
    method("namespace", f"{CHECK.name} string", CHECK, _with("namespace")),
    method("name", f"{CHECK.name} string", CHECK, _with("name")),
    method("check", f"{CHECK.name} string", DECISION, _check),
    method("allowed", DECISION.name, BOOL, lambda decision: decision.verdict.is_allowed),
    method("reason", DECISION.name, STRING, lambda decision: decision.verdict.reason),
    method("errored", DECISION.name, BOOL, lambda decision: False),
    method("error", DECISION.name, STRING, lambda decision: ""),
)
