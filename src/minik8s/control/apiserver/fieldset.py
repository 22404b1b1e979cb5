"""Sets of fields, as metadata.managedFields has them: FieldsV1. Pure.

Called by `typed`, `managedfields` and `apply`. A set is the decoded JSON itself: a tree whose keys are path elements,

    f:NAME   a field of an object or a key of a map        k:{"name":"web"}   the element of a list with these keys
    v:"x"    an element of a set of scalars                i:0                an element by its place (read, never made)
    .        the thing itself, where it has more below it; `{}` alone means the thing itself as well

so that reading costs nothing and writing is sorting. The root `{}` is the empty set. Operations share subtrees with
their arguments and change none of them. Source: sigs.k8s.io/structured-merge-diff/fieldpath.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode

FieldSet = dict[str, Any]
SELF = "."


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in either."""
    if not left or not right:
        return left or right
    merged = dict(left)
    for element, theirs in right.items():
        ours = merged.get(element)
        if ours is None:
            merged[element] = theirs
        elif ours != theirs:
            merged[element] = union(ours, theirs) if ours and theirs else {SELF: {}} | ours | theirs
    return merged


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in `left` and not in `right`. What lies below a member of `right` stays."""
    if not right:
        return left
    rest = {}
    for element, ours in left.items():
        theirs = right.get(element)
        if theirs is None:
            rest[element] = ours
        elif element != SELF and (kept := _subtract(ours, theirs)) is not None:
            rest[element] = kept
    return rest


def _subtract(ours: FieldSet, theirs: FieldSet) -> FieldSet | None:
    """The same below the root, where `{}` is a member; None if nothing is left."""
    if not ours:
        return None if not theirs or SELF in theirs else ours
    if not theirs:
        return {element: below for element, below in ours.items() if element != SELF} or None
    return _tidy(difference(ours, theirs))


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in both."""
    both = {}
    for element, ours in left.items():
        theirs = right.get(element)
        if theirs is None:
            continue
        if not ours or not theirs:
            common: FieldSet | None = {} if (not ours or SELF in ours) and (not theirs or SELF in theirs) else None
        else:
            common = _tidy(intersection(ours, theirs))
        if common is not None:
            both[element] = common
    return both


def without(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in `left` and neither in nor below `right`."""
    rest = {}
    for element, ours in left.items():
        theirs = right.get(element)
        if theirs is None:
            rest[element] = ours
        elif theirs and SELF not in theirs:
            kept = _tidy(without(ours, theirs)) if ours else ours
            if kept is not None:
                rest[element] = kept
    return rest


def _tidy(below: FieldSet) -> FieldSet | None:
    """A subtree in its one spelling: a lone `.` is `{}`, and what is empty is None."""
    if not below:
        return None
    return {} if len(below) == 1 and SELF in below else below


def ordered(fields: FieldSet, known: FieldSet | None = None) -> FieldSet:
    """The set in upstream's order: names, then keys, then values. Subtrees shared with `known` are in order already."""
    elements = sorted(fields)
    if elements and elements[-1][0] in "kv" and any(map(_has_number, elements)):
        elements.sort(key=_order)
    sorted_fields = {}
    for element in elements:
        below = fields[element]
        if below:
            before = known.get(element) if known else None
            below = below if below is before else ordered(below, before)
        sorted_fields[element] = below
    return sorted_fields


_has_number = re.compile(r"v:[-\d]|k:.*\":[-\d]").match  # Numbers are not in order as text.


def _order(element: str) -> tuple[Any, ...]:
    kind, _, text = element.partition(":")
    if kind not in ("k", "v"):
        return (kind, text)
    value = json.loads(text)
    parts = sorted(value.items()) if isinstance(value, dict) else [("", value)]
    return (kind, [(name, _KINDS.get(type(part), 9), part if part is not None else 0) for name, part in parts])


_KINDS = {float: 0, int: 0, str: 1, bool: 2}  # numbers before strings before booleans, as upstream compares values


def is_sound(fields: Any) -> bool:
    """Whether decoded JSON is a set."""
    return isinstance(fields, dict) and all(_is_element(key) and is_sound(below) for key, below in fields.items())


def _is_element(text: str) -> bool:
    kind, colon, rest = text.partition(":")
    if not colon or kind == "f":
        return text == SELF or kind == "f"
    try:
        value = json.loads(rest)
    except (ValueError, RecursionError):
        return False
    match kind:
        case "k":
            return isinstance(value, dict) and bool(value)
        case "i":
            return isinstance(value, int)
    return kind == "v" and not isinstance(value, dict | list)


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """The members as upstream writes paths: `.spec.containers[name="web"].image`."""
    for element, below in fields.items():
        if element == SELF:
            yield prefix
            continue
        path = prefix + path_of(element)
        if below:
            yield from paths(below, path)
        else:
            yield path


def path_of(element: str) -> str:
    """One element of a path, as messages have it."""
    kind, _, text = element.partition(":")
    match kind:
        case "f":
            return f".{text}"
        case "k":
            keys = json.loads(text)
            return "[" + ",".join(f"{name}={_json(keys[name])}" for name in sorted(keys)) + "]"
        case "v":
            return f"[={text}]"
    return f"[{text}]"


def _json(value: Any) -> str:
    return _encode(value).decode()


def quoted(text: str) -> str:
    """A string as JSON has it."""
    return f'"{text}"' if text.isidentifier() else _json(text)


def key_element(keys: dict[str, Any]) -> str:
    """The element of a list whose elements are told apart by these keys."""
    return "k:" + _json(dict(sorted(keys.items())))


def value_element(value: Any) -> str:
    """The element of a set of scalars."""
    return "v:" + _json(value)
