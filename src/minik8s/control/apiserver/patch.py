"""Patches: JSON patch (RFC 6902), JSON merge patch (RFC 7386), and the choice between them and the strategic merge.

Called by `pipeline` with a fresh tree, which is changed in place or replaced. Pure. A patch that is malformed is 400;
one that cannot be applied to this object is 422.
"""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import APPLY_PATCH, JSON, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, Request
from minik8s.control.apiserver import schema, strategic, strict
from minik8s.control.apiserver.resource import Document, Resource

ACCEPTED = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH)
OPERATIONS_MAX = 10_000  # as upstream, against quadratic work
_COPIED_BYTES_MAX = 3 * 1024 * 1024  # as upstream, against copies of copies


def media_type(content_type: str) -> str:
    """A Content-Type without parameters."""
    return content_type.partition(";")[0].strip().lower()


def parse(request: Request, resource: Resource) -> Any:
    """The patch in a request's body. Raises StatusError UnsupportedMediaType, BadRequest."""
    kind = media_type(request.content_type)
    accepted = [each for each in ACCEPTED if each != STRATEGIC_MERGE_PATCH or not resource.custom]
    if kind not in accepted:
        raise StatusError(
            "UnsupportedMediaType",
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}",
        )
    try:
        patch = msgspec.json.decode(request.body)
    except msgspec.DecodeError as error:
        raise errors.bad_request(f"error decoding patch: {error}") from None
    if kind == JSON_PATCH:
        if not isinstance(patch, list) or not all(isinstance(operation, dict) for operation in patch):
            raise errors.bad_request("error decoding patch: a JSON patch is a list of operations")
        if len(patch) > OPERATIONS_MAX:
            message = f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(patch)}"
            raise StatusError("RequestEntityTooLarge", message)
    elif not isinstance(patch, dict):
        raise errors.bad_request("error decoding patch: a merge patch is an object")
    return patch


def parse_config(request: Request, resource: Resource, field_validation: str) -> tuple[Document, list[str]]:
    """The configuration in the body of an apply, and warnings. Raises StatusError BadRequest."""
    is_json = request.body.lstrip()[:1] == b"{"
    try:
        config = schema.parse(request.body, JSON if is_json else APPLY_PATCH, resource.kind)
    except StatusError as error:
        raise errors.bad_request(f"error decoding YAML: {error.message}") from None
    repeated = [f'key "{name}" already set in map' for name in _repeated(config)]
    if repeated and field_validation == "Strict":
        raise errors.bad_request(f"error strict decoding YAML: error unmarshaling JSON: {', '.join(repeated)}")
    if not isinstance(config.setdefault("metadata", {}), dict):
        raise errors.bad_request("error decoding YAML: metadata must be an object")
    if config.get("kind") != resource.kind:
        raise errors.bad_request(f"invalid object type: {config.get('apiVersion', '')}, Kind={config.get('kind', '')}")
    return schema.without_nulls(config), repeated if field_validation == "Warn" else []


def _repeated(node: Any) -> Iterator[str]:
    if isinstance(node, strict.Repeated):
        yield from node.names
    for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _repeated(below)


def apply(document: Document, patch: Any, content_type: str, model: type) -> Document:
    """`document` after the patch. Raises StatusError Invalid, BadRequest."""
    kind = media_type(content_type)
    try:
        if kind == JSON_PATCH:
            patched = apply_json_patch(document, patch)
        elif kind == MERGE_PATCH:
            patched = apply_merge_patch(document, patch)
        else:
            patched = strategic.merge(document, patch, model)
    except (PatchFailed, strategic.NotRetained) as error:
        raise StatusError(
            "Invalid", f"the server rejected our request due to an error in our request: {error}"
        ) from None
    except strategic.PatchError as error:
        raise errors.bad_request(str(error)) from None
    if not isinstance(patched, dict):
        raise errors.bad_request("the patch leaves no object")
    return patched


def apply_merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = apply_merge_patch(merged.get(key), value)
    return merged


class PatchFailed(Exception):
    """A JSON patch that does not fit the document."""


def apply_json_patch(document: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902. Raises PatchFailed; the document is then in an undefined state."""
    copied_bytes = 0
    for operation in operations:
        if operation.get("op") == "copy":
            copied_bytes += len(msgspec.json.encode(_get(document, _pointer(operation, "from"))))
            if copied_bytes > _COPIED_BYTES_MAX:
                size = f"the accumulated size increase of copy is {copied_bytes}"
                raise PatchFailed(f"Unable to complete the copy, {size}, exceeding the limit {_COPIED_BYTES_MAX}")
        document = _apply_operation(document, operation)
    return document


def _apply_operation(document: Any, operation: dict[str, Any]) -> Any:
    name = operation.get("op")
    path = _pointer(operation, "path")
    match name:
        case "add":
            return _add(document, path, copy.deepcopy(_value(operation)))
        case "remove":
            return _remove(document, path)[0]
        case "replace":
            _get(document, path)
            if not path:
                return copy.deepcopy(_value(operation))
            parent, last = _get(document, path[:-1]), path[-1]
            parent[_index(parent, last) if isinstance(parent, list) else last] = copy.deepcopy(_value(operation))
            return document
        case "move":
            source = _pointer(operation, "from")
            if path[: len(source)] == source and path != source:
                raise PatchFailed("cannot move a value into itself")
            document, value = _remove(document, source)
            return _add(document, path, value)
        case "copy":
            return _add(document, path, copy.deepcopy(_get(document, _pointer(operation, "from"))))
        case "test":
            if not _equal(_get(document, path, missing=None), operation.get("value")):
                raise PatchFailed(f"testing value {operation['path']} failed")
            return document
    raise PatchFailed(f"unexpected kind: {name}")


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise PatchFailed(f"operation {operation.get('op')} misses a value")
    return operation["value"]


def _pointer(operation: dict[str, Any], member: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901)."""
    text = operation.get(member)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchFailed(f"operation {operation.get('op')} has no valid {member}: {text!r}")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


_REQUIRED = object()


def _get(document: Any, path: list[str], missing: Any = _REQUIRED) -> Any:
    node = document
    for step in path:
        if isinstance(node, dict) and step in node:
            node = node[step]
        elif isinstance(node, list) and step != "-":
            node = node[_index(node, step)]
        elif missing is not _REQUIRED:
            return missing
        else:
            raise PatchFailed(f"/{'/'.join(path)}: no such path")
    return node


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(parent, last, beyond=1), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise PatchFailed(f"/{'/'.join(path)}: no such path")
    return document


def _remove(document: Any, path: list[str]) -> tuple[Any, Any]:
    """(what is left, what was removed)."""
    value = _get(document, path)
    if not path:
        return None, value
    parent, last = _get(document, path[:-1]), path[-1]
    del parent[_index(parent, last) if isinstance(parent, list) else last]
    return document, value


def _index(items: list[Any], step: str, beyond: int = 0) -> int:
    if not (step.isascii() and step.isdigit()) or (len(step) > 1 and step[0] == "0"):
        raise PatchFailed(f"{step!r} is no index of a list")
    if int(step) >= len(items) + beyond:
        raise PatchFailed(f"index {step} is out of bounds")
    return int(step)


def _equal(left: Any, right: Any) -> bool:
    """JSON equality: true is not 1, as it is in Python."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(value, right[key]) for key, value in left.items())
    return bool(left == right)
