"""Answers about access: SubjectAccessReview and its kin ask the authorizer, and nothing is stored.

Installed by `core` as answers of the API. Whoever asks about others needs the right to; about oneself everybody may.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from minik8s.api import errors
from minik8s.api.request import Response
from minik8s.control.apiserver import schema
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz import rules
from minik8s.control.apiserver.authz.attributes import Attributes, Decision
from minik8s.control.apiserver.authz.chain import Chain
from minik8s.control.apiserver.causes import forbidden, invalid
from minik8s.control.apiserver.pipeline import Call
from minik8s.control.apiserver.resource import Document

_encode = msgspec.json.Encoder().encode
_RESOURCE = ("verb", "group", "version", "resource", "subresource", "namespace", "name")


@dataclass(frozen=True, slots=True)
class AccessReviews:
    """The four reviews."""

    authorizer: Chain

    async def oneself(self, call: Call) -> Response:
        """POST selfsubjectaccessreviews. Raises StatusError BadRequest, Invalid."""
        review, warnings = _decoded(call)
        _check(call, review, [])
        return await self._answer(review, call.user, warnings)

    async def subject(self, call: Call) -> Response:
        """POST subjectaccessreviews. Raises StatusError BadRequest, Invalid."""
        review, warnings = _decoded(call)
        _check(call, review, _subject_causes(review))
        return await self._answer(review, _subject(review), warnings)

    async def local(self, call: Call) -> Response:
        """POST localsubjectaccessreviews. Raises StatusError BadRequest, Invalid."""
        review, warnings = _decoded(call)
        causes = _subject_causes(review)
        if "nonResourceAttributes" in review["spec"]:
            why = "disallowed on this kind of request"
            causes.append(forbidden("spec.nonResourceAttributes", why))
        _check(call, review, causes)
        namespace = call.request.namespace
        if review["spec"]["resourceAttributes"].get("namespace", "") != namespace:
            raise errors.bad_request(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
        return await self._answer(review, _subject(review), warnings)

    async def rules(self, call: Call) -> Response:
        """POST selfsubjectrulesreviews. Raises StatusError BadRequest."""
        review, warnings = _decoded(call)
        namespace = review.get("spec", {}).get("namespace", "")
        if not namespace:
            raise errors.bad_request("no namespace on request")
        found, faults, is_complete = await self.authorizer.rules_for(call.user, namespace)
        status: Document = {
            "resourceRules": [rules.document(rule) for rule in found if rule.resources],
            "nonResourceRules": [rules.document(rule) for rule in found if rule.urls],
            "incomplete": not is_complete,
        }
        if faults:
            status["evaluationError"] = ", ".join(faults)
        # As upstream: what was asked is not repeated.
        answer = {key: review[key] for key in ("kind", "apiVersion")} | {"metadata": {}, "spec": {}, "status": status}
        return Response(_encode(answer), code=201, warnings=tuple(warnings))

    async def _answer(self, review: Document, user: User, warnings: list[str]) -> Response:
        verdict = await self.authorizer.authorize(_attributes(user, review["spec"]))
        status: Document = {"allowed": verdict.is_allowed}
        if verdict.decision is Decision.DENY:
            status["denied"] = True
        if verdict.reason:
            status["reason"] = verdict.reason
        if verdict.error:
            status["evaluationError"] = verdict.error
        review["status"] = status
        return Response(_encode(review), code=201, warnings=tuple(warnings))


def _decoded(call: Call) -> tuple[Document, list[str]]:
    review, warnings = schema.decode(call.request.body, call.request.content_type, call.resource, call.field_validation)
    review.setdefault("spec", {})
    return review, warnings


def _subject_causes(review: Document) -> list[errors.Cause]:
    spec = review["spec"]
    if spec.get("user") or spec.get("groups"):
        return []
    return [invalid("spec.user", spec.get("user", ""), "at least one of user or group must be specified")]


def _check(call: Call, review: Document, causes: list[errors.Cause]) -> None:
    spec = review["spec"]
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        why = "cannot be specified in combination with resourceAttributes"
        causes = [invalid("spec.nonResourceAttributes", path, why), *causes]
    if resource is None and path is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        causes = [invalid("spec.resourceAttributes", None, why), *causes]
    metadata = {key: value for key, value in review.get("metadata", {}).items() if value and key != "managedFields"}
    if set(metadata) - {"namespace"} or (metadata and not call.resource.namespaced):
        causes = [*causes, invalid("metadata", metadata, "must be empty")]
    if causes:
        raise errors.invalid(call.resource.kind, call.resource.group, "", causes)


def _subject(review: Document) -> User:
    spec = review["spec"]
    extra = {key.lower(): tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)


def _attributes(user: User, spec: Document) -> Attributes:
    if path := spec.get("nonResourceAttributes"):
        return Attributes(user, path.get("verb", ""), path=path.get("path", ""))
    asked = spec.get("resourceAttributes") or {}
    given = {name: asked.get(name, "") for name in _RESOURCE}
    selectors = {"field_selector": _selector(asked.get("fieldSelector"))}
    selectors["label_selector"] = _selector(asked.get("labelSelector"))
    return Attributes(user, **given, **selectors)


def _selector(given: dict[str, Any] | None) -> str:
    """A selector as it stands in a URL; parts that cannot be said so are left out, which selects more."""
    if not given:
        return ""
    if raw := given.get("rawSelector"):
        return str(raw)
    parts = []
    for part in given.get("requirements") or ():
        key, values = part.get("key", ""), part.get("values") or [""]
        match part.get("operator", ""):
            case "In" if len(values) == 1:
                parts.append(f"{key}={values[0]}")
            case "NotIn" if len(values) == 1:
                parts.append(f"{key}!={values[0]}")
            case "In" | "NotIn" as operator:
                parts.append(f"{key} {operator.lower()} ({','.join(values)})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)
