"""Strategic merge patch: a merge patch that knows which lists are sets or maps, and takes directives.

Called by `patch`. Pure. Which list merges by which key stands in `merge_facts`; the model's types say where in the
tree we are. Semantics and order of elements are those of k8s.io/apimachinery/pkg/util/strategicpatch:

    {"spec": {"containers": [{"name": "web", "image": "x"}]}}     merges into the container named web
    "$patch": delete | replace | merge                            in a map, or in an element of a list
    "$deleteFromPrimitiveList/finalizers": ["a"]                  removes from a set
    "$setElementOrder/containers": [{"name": "web"}, …]           the order the client knows
    "$retainKeys": ["type", "rollingUpdate"]                      drops the live keys that are not listed
"""

import copy
import functools
import types
import typing
from typing import Any

from minik8s.control.apiserver.merge_facts import Rule, rule_of

_PATCH = "$patch"
_RETAIN_KEYS = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ELEMENT_ORDER = "$setElementOrder/"
_LIST_DIRECTIVES = (_DELETE_FROM, _ELEMENT_ORDER)
_REPLACE = Rule()


class PatchError(Exception):
    """A patch that makes no sense."""


class NotRetained(PatchError):
    """A patch that sets what its own $retainKeys would drop."""


def merge(original: dict[str, Any], patch: dict[str, Any], model: type | None) -> dict[str, Any]:
    """`original`, of the type `model`, after the patch; it is changed in place. Raises PatchError."""
    directive = patch.get(_PATCH)
    if directive == "replace":
        return _without_directives({key: value for key, value in patch.items() if key != _PATCH})
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise PatchError(f"unknown patch type: {directive}")
    _retain_keys(original, patch)
    for key, value in patch.items():
        if key in (_PATCH, _RETAIN_KEYS):
            continue
        if key.startswith(_DELETE_FROM):
            field = key.removeprefix(_DELETE_FROM)
            if isinstance(original.get(field), list):
                original[field] = [item for item in original[field] if item not in _list(key, value)]
        elif key.startswith(_ELEMENT_ORDER):
            field = key.removeprefix(_ELEMENT_ORDER)
            if field not in patch and field in original:
                rule = (rule_of(model, field) if model else None) or _REPLACE
                original[field] = _ordered(original[field], _list(key, value), original[field], rule.key)
        elif value is None:
            original.pop(key, None)
        else:
            order = patch.get(_ELEMENT_ORDER + key)
            original[key] = _merge_value(original.get(key), value, model, key, order)
    return original


def _merge_value(original: Any, patch: Any, model: type | None, field: str, order: Any) -> Any:
    rule = (rule_of(model, field) if model else None) or _REPLACE
    inner = _model_of(model, field) if model else None
    if isinstance(patch, dict) and not rule.replace:
        return merge(original if isinstance(original, dict) else {}, patch, inner)
    if isinstance(patch, list) and rule.merge:
        live = original if isinstance(original, list) else []
        merged = _merge_list(live, patch, inner, rule.key)
        if order is not None:
            return _ordered(merged, _list(_ELEMENT_ORDER + field, order), live, rule.key)
        return merged
    return _without_directives(patch)


def _merge_list(original: list[Any], patch: list[Any], model: type | None, key: str) -> list[Any]:
    """A list that is a set (no key) or a map of elements by `key`."""
    if not key:
        return _ordered(original + [item for item in patch if item not in original], patch, original, key)
    before = original
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in patch):
        before, original = [], []
    changes = []
    for item in patch:
        directive = item.get(_PATCH) if isinstance(item, dict) else None
        if directive == "delete":
            doomed = _key_value(item, key)
            original = [each for each in original if each.get(key) != doomed]
        elif directive == "merge":
            raise PatchError("merging lists cannot yet be specified in the patch")
        elif directive is None:
            changes.append(item)
        elif directive == "replace":
            pass  # As upstream: the element only says that the others are the list.
        else:
            raise PatchError(f"unknown patch type: {directive}")
    merged = list(original)
    for change in changes:
        wanted = _key_value(change, key)
        at = next((index for index, each in enumerate(merged) if each.get(key) == wanted), None)
        if at is None:
            merged.append(merge({}, change, model))
        else:
            merged[at] = merge(merged[at], change, model)
    return _ordered(merged, changes, before, key)


def _ordered(merged: list[Any], patch_order: list[Any], live_order: list[Any], key: str) -> list[Any]:
    """`merged` with the patch's elements in the patch's order, and the others where the live list has them.

    As upstream's normalizeElementOrder: where the live list does not say, the patch's elements come first.
    """

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted = [identity(item) for item in patch_order]
    live = [identity(item) for item in live_order]
    ours = sorted((item for item in merged if identity(item) in wanted), key=lambda item: wanted.index(identity(item)))
    others = [item for item in merged if identity(item) not in wanted]
    result = []
    while ours and others:
        first, other = identity(ours[0]), identity(others[0])
        is_other_first = first in live and other in live and live.index(other) < live.index(first)
        result.append((others if is_other_first else ours).pop(0))
    return result + ours + others


def _retain_keys(original: dict[str, Any], patch: dict[str, Any]) -> None:
    kept = patch.get(_RETAIN_KEYS)
    if kept is None:
        return
    if not isinstance(kept, list):
        raise PatchError("invalid patch format of retainKeys")
    for key in patch:
        if not key.startswith("$") and patch[key] is not None and key not in kept:
            raise NotRetained("patch content doesn't match retainKeys list")
    for key in [key for key in original if key not in kept]:
        del original[key]


def _key_value(item: Any, key: str) -> Any:
    if not isinstance(item, dict) or key not in item:
        raise PatchError(f"map: {item} does not contain declared merge key: {key}")
    return item[key]


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        what = "setElementOrder" if name.startswith(_ELEMENT_ORDER) else "primitive"
        raise PatchError(f"invalid patch format of {what} list")
    return value


def _without_directives(value: Any) -> Any:
    """A value that is new to the document: what the patch says, without nulls and directives."""
    if isinstance(value, dict):
        return {
            key: _without_directives(item)
            for key, item in value.items()
            if item is not None and key not in (_PATCH, _RETAIN_KEYS) and not key.startswith(_LIST_DIRECTIVES)
        }
    if isinstance(value, list):
        return [_without_directives(item) for item in value]
    return copy.copy(value)


@functools.lru_cache(maxsize=2048)
def _model_of(model: type, field: str) -> type | None:
    """The model below a field: of the object, or of the list's elements, or of the map's values."""
    hint = typing.get_type_hints(model).get(field)
    while hint is not None:
        if isinstance(hint, type) and typing.get_origin(hint) is None:
            return hint if hasattr(hint, "__struct_fields__") else None
        arguments = [each for each in typing.get_args(hint) if each is not types.NoneType]
        hint = arguments[-1] if arguments else None
    return None
