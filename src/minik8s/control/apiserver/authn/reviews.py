"""Answers about users: TokenReview (whose token is this?) and SelfSubjectReview (who am I?).

Installed by `core` as answers of the API; nothing is stored.
"""

from dataclasses import dataclass

import msgspec

from minik8s.api import errors
from minik8s.api.request import Response
from minik8s.control.apiserver import schema
from minik8s.control.apiserver.authn.authenticator import Authenticator
from minik8s.control.apiserver.authn.readers import Refused
from minik8s.control.apiserver.pipeline import Call
from minik8s.control.apiserver.resource import Document
from minik8s.kit.clock import Clock, timestamp

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Reviews:
    """The two reviews, by whatever `authenticator` knows."""

    authenticator: Authenticator
    clock: Clock

    async def token(self, call: Call) -> Response:
        """POST tokenreviews. Raises StatusError BadRequest, Invalid."""
        review, warnings = _decoded(call)
        spec = review.get("spec", {})
        if not spec.get("token"):
            raise errors.bad_request("token is required for TokenReview in authentication")
        audiences = spec.get("audiences") or ()
        status: Document = {"user": {}}
        review["status"] = status
        try:
            verified = await self.authenticator.review(spec["token"], audiences)
            status |= {"authenticated": True, "user": verified.user.info()}
            if verified.audiences:
                status["audiences"] = list(verified.audiences)
        except Refused as refused:
            status["error"] = f"invalid bearer token, {refused}"
        return self._answer(review, warnings)

    async def oneself(self, call: Call) -> Response:
        """POST selfsubjectreviews. Raises StatusError BadRequest."""
        review, warnings = _decoded(call)
        review["status"] = {"userInfo": call.user.info()}
        return self._answer(review, warnings)

    def _answer(self, review: Document, warnings: list[str]) -> Response:
        review.setdefault("metadata", {})["creationTimestamp"] = timestamp(self.clock)
        return Response(_encode(review), code=201, warnings=tuple(warnings))


def _decoded(call: Call) -> tuple[Document, list[str]]:
    return schema.decode(call.request.body, call.request.content_type, call.resource, call.field_validation)
