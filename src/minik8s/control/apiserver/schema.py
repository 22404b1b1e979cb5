"""Bodies to documents: decode what a client sent and check it against the types of its kind.

Called by the pipeline for every write; the wording of errors is upstream's, because kubectl prints it. What is missing
is not a decoding error: validation says that, with 422. null means absent everywhere.
"""

import json
import re
from typing import Any

import msgspec

from minik8s.api.errors import StatusError, bad_request
from minik8s.control.apiserver.canonical import canonicalize
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.strict import Findings, Repeated, conforms, walk

JSON_TYPES = ("", "application/json")  # Some clients send no type at all.
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "application/apply-patch+yaml")
DEPTH_MAX = 200  # of objects and lists within each other; far from where recursion over a document ends
# What the quick reading of JSON would spell or count otherwise: escapes of characters, spaces before colons.
_ODD = (b"\\u", b" :", b"\t:", b"\r:", b"\n:")
_SURROGATE = re.compile(rb"\\u[dD]")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_PARSE_FAILED = "couldn't get version/kind; json parse error"


def decode(body: bytes, content_type: str, resource: Resource, field_validation: str) -> tuple[Document, list[str]]:
    """The document in a body, and warnings about it. Raises StatusError: 400 what cannot be read, 415 other formats.

    `field_validation` says what becomes of unknown and repeated fields: Ignore drops them, Warn tells, Strict refuses.
    """
    reader = _Reader()
    tree = reader.read(body, content_type, resource.kind)
    is_plain = reader.is_json and not reader.has_repeated
    return _checked(tree, resource, field_validation, is_plain=is_plain, has_nulls=b"null" in body)


def check(
    document: Document, resource: Resource, field_validation: str = "Ignore", *, has_nulls: bool = True
) -> tuple[Document, list[str]]:
    """The same for a tree, such as the outcome of a patch. The result shares nothing with the argument.

    If it is known to have no nulls, the tree itself is rewritten.
    """
    return _checked(document, resource, field_validation, is_plain=True, has_nulls=has_nulls)


def parse(body: bytes, content_type: str, kind: str) -> Document:
    """The tree in a body, whatever fields it has. Objects with repeated names are `strict.Repeated`."""
    return _Reader().read(body, content_type, kind)


class _Reader:
    """Reads one body, noticing what the fast way of checking does not see."""

    def __init__(self) -> None:
        self.is_json = True
        self.has_repeated = False

    def read(self, body: bytes, content_type: str, kind: str) -> Document:
        media_type = content_type.partition(";")[0].strip().lower()
        self.is_json = media_type in JSON_TYPES
        if not self.is_json and media_type not in YAML_TYPES:
            raise unsupported_media_type()
        failed = _PARSE_FAILED if self.is_json else "error converting YAML to JSON"
        try:
            tree = self._json(body) if self.is_json else self._yaml(body)
            if body.count(b"{") + body.count(b"[") > DEPTH_MAX and _depth_exceeds(tree, DEPTH_MAX):
                raise RecursionError
        except RecursionError:
            raise _unrecognized(body, kind, "exceeded max depth") from None
        except ValueError as error:
            raise _unrecognized(body, kind, f"{failed}: {error}") from None
        if not isinstance(tree, dict):
            raise _unrecognized(body, kind, f"{_PARSE_FAILED}: cannot unmarshal {_json_type(tree)} into an object")
        return tree

    def _json(self, body: bytes) -> Any:
        """The tree. Bodies that repeat no name and are spelled plainly, which is nearly all, are read by msgspec."""
        if not any(odd in body for odd in _ODD):
            try:
                tree = _decode(body)
                if _encode(tree).count(b'":') == body.count(b'":'):  # Else a name is repeated, or a space hides one.
                    return tree
            except (msgspec.DecodeError, UnicodeDecodeError):
                pass  # The words for what is wrong are those of the other decoder.
        tree = json.loads(body, object_pairs_hook=self._object, parse_constant=_refuse_constant)
        if _SURROGATE.search(body):
            _refuse_lone_surrogates(tree)
        return tree

    def _yaml(self, body: bytes) -> Any:
        from minik8s.control.apiserver import yaml_body  # Few clients send YAML.

        return yaml_body.load(body)

    def _object(self, pairs: list[tuple[str, Any]]) -> Document:
        tree = dict(pairs)
        if len(tree) == len(pairs):
            return tree
        self.has_repeated = True
        names = [name for name, _ in pairs]
        repeated = Repeated(tree)
        repeated.names = tuple(name for name in tree if names.count(name) > 1)
        return repeated


def unsupported_media_type() -> StatusError:
    """A body in a format the server does not read."""
    message = "the body of the request was in an unknown format - accepted media types include: "
    return StatusError(
        "UnsupportedMediaType", message + "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )


def _checked(
    tree: Document, resource: Resource, field_validation: str, *, is_plain: bool, has_nulls: bool
) -> tuple[Document, list[str]]:
    _check_kind(tree, resource)
    findings = Findings()
    try:
        if resource.custom:  # Whose nulls mean something.
            tree = resource.custom.prune(tree, findings.faults)
        else:
            if is_plain and has_nulls:
                tree = without_nulls(tree)
            if not is_plain or not conforms(tree, resource.model):
                tree = walk(tree, resource.model, findings)
            canonicalize(tree, resource.model)
    except RecursionError:
        raise _cannot_be_handled(tree, resource, "exceeded max depth") from None
    except ValueError as error:  # strict.TypeMismatch, or what canonicalize says of a value.
        raise _cannot_be_handled(tree, resource, str(error)) from None
    if findings.faults and field_validation == "Strict":
        raise _cannot_be_handled(tree, resource, f"strict decoding error: {', '.join(findings.faults)}")
    tree["apiVersion"], tree["kind"] = resource.api_version, resource.kind
    tree.setdefault("metadata", {})
    return tree, list(findings.faults) if field_validation == "Warn" else []


def without_nulls(node: Any) -> Any:
    """A copy in which what is null is absent. In lists null stays: it has a place there, which `walk` fills."""
    if type(node) is dict:
        return {key: without_nulls(value) for key, value in node.items() if value is not None}
    return [without_nulls(item) for item in node] if type(node) is list else node


def _depth_exceeds(tree: Any, depth_max: int) -> bool:
    level = [tree]
    for _ in range(depth_max):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if child and child.__class__ in _CONTAINERS
        ]
        if not level:
            return False
    return True


_CONTAINERS = frozenset((dict, list, Repeated))


def _check_kind(tree: Document, resource: Resource) -> None:
    """apiVersion and kind may be left out; if given, they are the resource's."""
    api_version, kind = tree.get("apiVersion") or resource.api_version, tree.get("kind") or resource.kind
    if not isinstance(api_version, str) or not isinstance(kind, str):
        raise bad_request(f"{_PARSE_FAILED}: apiVersion and kind are strings")
    if kind != resource.kind:
        why = f'no kind "{kind}" is registered for version "{api_version}" that {resource.plural} could be made of'
        raise _cannot_be_handled(tree, resource, why)
    if api_version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version "
            f"({resource.api_version})"
        )


def _cannot_be_handled(tree: Document, resource: Resource, why: str) -> StatusError:
    kind = tree.get("kind") or resource.kind
    version = str(tree.get("apiVersion") or resource.version).rpartition("/")[2]
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {resource.kind}: {why}')


def _unrecognized(body: bytes, kind: str, why: str) -> StatusError:
    if not body:
        sample = "<empty>"
    elif body.startswith(b"{"):
        sample = body[:30].decode("utf-8", "replace")
    else:
        sample = body[:30].hex()
    sample += " ..." if len(body) > 30 else ""
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): {why} ({sample})")


def _refuse_constant(text: str) -> None:
    raise ValueError(f"invalid character '{text[0]}' looking for beginning of value")


def _refuse_lone_surrogates(tree: Any) -> None:
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("invalid surrogate escape in string") from None


def _json_type(tree: Any) -> str:
    return {str: "string", bool: "bool", list: "array", type(None): "null"}.get(type(tree), "number")
