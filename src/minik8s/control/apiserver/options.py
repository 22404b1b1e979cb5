"""The options of a write that its query carries: what they may be, in upstream's words. Pure.

Called by `handler` for every write. Deletions have options of their own besides (`deletion`).
"""

import json
from collections.abc import Iterable

from minik8s.api import errors
from minik8s.api.errors import Cause
from minik8s.api.request import APPLY_PATCH, Request

MANAGER_LENGTH_MAX = 128
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_KINDS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


def is_apply(request: Request) -> bool:
    """Whether a patch is a server-side apply."""
    return request.content_type.partition(";")[0].strip().lower() == APPLY_PATCH


def check(request: Request) -> None:
    """Raises StatusError Invalid for options that make no sense."""
    query = request.query
    causes = _unsupported("dryRun", query.get("dryRun", ""), ("All",))
    if request.verb in _KINDS:
        causes += _manager(request)
        causes += _unsupported("fieldValidation", query.get("fieldValidation", ""), _VALIDATIONS)
    if causes:
        raise errors.invalid(_KINDS.get(request.verb, "DeleteOptions"), "meta.k8s.io", "", causes)


def _manager(request: Request) -> list[Cause]:
    manager = request.query.get("fieldManager", "")
    if len(manager.encode()) > MANAGER_LENGTH_MAX:
        why = f"Too long: may not be more than {MANAGER_LENGTH_MAX} bytes"
        return [Cause("FieldValueTooLong", why, "fieldManager")]
    if not manager.isprintable():
        why = f"Invalid value: {json.dumps(manager)}: should only contain printable characters"
        return [Cause("FieldValueInvalid", why, "fieldManager")]
    if request.verb == "patch" and is_apply(request):
        required = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
        return [] if manager else [required]
    if request.verb == "patch" and "force" in request.query:
        return [Cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force")]
    return []


def _unsupported(field: str, value: str, known: Iterable[str]) -> list[Cause]:
    if not value or value in known:
        return []
    listed = ", ".join(f'"{each}"' for each in known)
    return [
        Cause("FieldValueNotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {listed}", field)
    ]
