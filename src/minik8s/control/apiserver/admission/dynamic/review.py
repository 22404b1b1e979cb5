"""AdmissionReview: the question to a webhook, and its answer checked. Pure."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minik8s.api.errors import StatusError, from_status
from minik8s.control.apiserver import patch
from minik8s.control.apiserver.resource import Document

V1, V1BETA1 = "v1", "v1beta1"
_WARNINGS_MAX, _WARNING_CHARS_MAX, _ANNOTATIONS_MAX = 64, 4096, 64
_encode = msgspec.json.Encoder().encode


class Unusable(Exception):
    """An answer that is none."""


class _Response(msgspec.Struct):
    uid: str = ""
    allowed: bool = False
    status: dict[str, Any] | None = None
    patch: str | None = None
    patchType: str | None = None
    auditAnnotations: dict[str, str] | None = None
    warnings: list[str] | None = None


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct):
    """metav1.StatusDetails, as far as it is passed on."""

    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: list[_Cause] = []
    retryAfterSeconds: int = 0


class _Review(msgspec.Struct):
    apiVersion: str = ""
    kind: str = ""
    response: _Response | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook said."""

    allowed: bool
    status: Document | None = None
    patch: list[Document] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def version_of(wanted: list[str]) -> str:
    """The version of AdmissionReview to speak: the first one that we know. Raises Unusable."""
    for version in wanted:
        if version in (V1, V1BETA1):
            return version
    raise Unusable("webhook does not accept known AdmissionReview versions (v1, v1beta1)")


def ask(request: Document, uid: str, version: str) -> bytes:
    """The body of the call."""
    api_version = f"admission.k8s.io/{version}"
    return _encode({"kind": "AdmissionReview", "apiVersion": api_version, "request": {"uid": uid, **request}})


def read(body: bytes, uid: str, version: str, *, is_mutating: bool) -> Answer:
    """The answer. Raises Unusable."""
    try:
        review = msgspec.json.decode(body, type=_Review)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unusable(f"couldn't get version/kind; json parse error: {error}") from None
    if review.response is None:
        raise Unusable("webhook response was absent")
    response = review.response
    if version == V1:
        _check_v1(review, response, uid)
    patch = _patch(response, version) if response.patch else None
    if patch is not None and not is_mutating:
        if version == V1:
            raise Unusable("validating webhook may not return response.patch")
        patch = None
    annotations = dict(list((response.auditAnnotations or {}).items())[:_ANNOTATIONS_MAX])
    warnings = tuple(text[:_WARNING_CHARS_MAX] for text in (response.warnings or ())[:_WARNINGS_MAX])
    return Answer(response.allowed, response.status, patch, annotations, warnings)


def _check_v1(review: _Review, response: _Response, uid: str) -> None:
    if (review.apiVersion, review.kind) != ("admission.k8s.io/v1", "AdmissionReview"):
        found = f"{review.apiVersion}, Kind={review.kind}"
        raise Unusable(f"expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {found}")
    if response.uid != uid:
        raise Unusable(f'expected response.uid="{uid}", got "{response.uid}"')
    if response.patch and not response.patchType:
        raise Unusable("webhook returned response.patch but not response.patchType")
    if response.patchType and not response.patch:
        raise Unusable("webhook returned response.patchType but not response.patch")
    if response.patchType not in (None, "", "JSONPatch"):
        raise Unusable(f'webhook returned invalid response.patchType of "{response.patchType}"')


def _patch(response: _Response, version: str) -> list[Document]:
    assert response.patch is not None
    try:
        raw = base64.b64decode(response.patch, validate=True)
        found = msgspec.json.decode(raw, type=list[dict[str, Any]])
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise Unusable(f"the patch cannot be read: {error}") from None
    if len(found) > patch.OPERATIONS_MAX:
        raise Unusable(f"the patch has more than {patch.OPERATIONS_MAX} operations")
    return found


def denial(name: str, status: Document | None) -> StatusError:
    """What the client is told of a refusal by the webhook `name`."""
    said: Any = status or {}
    why = said.get("message") or said.get("reason")
    denied = f'admission webhook "{name}" denied the request'
    code = said.get("code")
    try:
        details = msgspec.to_builtins(msgspec.convert(said.get("details") or {}, _Details))
    except msgspec.ValidationError:
        details = {}
    return from_status(
        {
            "reason": said["reason"] if isinstance(said.get("reason"), str) else "",
            "message": f"{denied}: {why}" if isinstance(why, str) and why else f"{denied} without explanation",
            "code": code if isinstance(code, int) and 400 <= code < 600 else 400,
            "details": details,
        }
    )
