"""One request as the audit log tells it: audit.k8s.io/v1 Events, one line of JSON each. Pure.

A Note is made on the hot path and holds only references; `encode` makes the line of it later, in the writer's thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minik8s.api.request import JSON
from minik8s.control.apiserver import yaml_body
from minik8s.control.apiserver.audit.policy import LEVEL_NAMES, Level, Ruling
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import Attributes

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from."""

    uri: str
    source_ips: tuple[str, ...] = ()
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """One stage of one request."""

    audit_id: str
    stage: str
    ruling: Ruling
    attributes: Attributes
    origin: Origin
    received: str  # both as metav1.MicroTime
    now: str
    code: int = 0  # 0: not answered yet
    status: Mapping[str, Any] = field(default_factory=dict)  # of a failure
    request_body: bytes = b""
    content_type: str = JSON
    response_body: bytes = b""
    annotations: Mapping[str, str] = field(default_factory=dict)  # of authorization and admission

    @property
    def size_bytes(self) -> int:
        """About how much memory it holds."""
        return 1000 + len(self.request_body) + len(self.response_body)


def encode(note: Note) -> bytes:
    """The line, with its newline."""
    attributes, level = note.attributes, note.ruling.level
    caller = attributes.user.impersonator or attributes.user
    document: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": LEVEL_NAMES[level],
        "auditID": note.audit_id,
        "stage": note.stage,
        "requestURI": note.origin.uri,
        "verb": attributes.verb,
        "user": _user(caller),
    }
    if caller is not attributes.user:
        document["impersonatedUser"] = _user(attributes.user)
    document["sourceIPs"] = list(note.origin.source_ips)
    if note.origin.user_agent:
        document["userAgent"] = note.origin.user_agent
    if attributes.is_resource:
        document["objectRef"] = _reference(attributes)
    if note.code:
        status = {key: note.status[key] for key in ("status", "message", "reason", "details") if key in note.status}
        document["responseStatus"] = {"metadata": {}} | status | {"code": note.code}
    if level >= Level.REQUEST and (body := _body(note.request_body, note.content_type, note.ruling)):
        document["requestObject"] = body
    if level >= Level.REQUEST_RESPONSE and (body := _body(note.response_body, JSON, note.ruling)):
        document["responseObject"] = body
    document["requestReceivedTimestamp"] = note.received
    document["stageTimestamp"] = note.now
    if note.annotations:
        document["annotations"] = note.annotations
    try:
        return _encode(document) + b"\n"
    except UnicodeEncodeError:  # Bytes of a header or path that are no text: no reason to keep silent.
        return _encode(_as_text(document)) + b"\n"


def _user(user: User) -> dict[str, Any]:
    document: dict[str, Any] = {"username": user.name}
    if user.uid:
        document["uid"] = user.uid
    document["groups"] = list(user.groups)
    if user.extra:
        document["extra"] = {key: list(values) for key, values in user.extra.items()}
    return document


def _reference(attributes: Attributes) -> dict[str, str]:
    pairs = {
        "resource": attributes.resource,
        "namespace": attributes.namespace,
        "name": attributes.name,
        "apiGroup": attributes.group,
        "apiVersion": attributes.version,
        "subresource": attributes.subresource,
    }
    return {key: value for key, value in pairs.items() if value}


def _body(body: bytes, content_type: str, ruling: Ruling) -> Any:
    """A body as part of the line; None if there is none or it is no document."""
    if not body:
        return None
    try:
        if "yaml" in content_type:
            document = yaml_body.load(body)
        elif not ruling.omit_managed_fields and b"\n" not in body:
            return msgspec.json.decode(body, type=msgspec.Raw)
        else:
            document = _decode(body)
    except (ValueError, RecursionError):  # No document: the answer to the request says why.
        return None
    if ruling.omit_managed_fields and isinstance(document, dict):
        for each in (document, *(item for item in document.get("items") or [] if isinstance(item, dict))):
            if isinstance(each.get("metadata"), dict):
                each["metadata"].pop("managedFields", None)
    return document


def _as_text(value: Any) -> Any:
    """The same with `?` for what cannot be written."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {_as_text(key): _as_text(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_text(each) for each in value]
    return value
