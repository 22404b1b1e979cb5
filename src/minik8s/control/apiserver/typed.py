"""What server-side apply does to typed values: which fields a configuration has, merging, and taking fields out. Pure.

Called by `apply`. As the walkers of sigs.k8s.io/structured-merge-diff/typed, over `topology`.
"""

from typing import Any

from minik8s.control.apiserver.fieldset import SELF, FieldSet, path_of
from minik8s.control.apiserver.topology import ANYTHING, Deduced, Fields, Items, Leaf, Node, Unkeyed


class Untyped(Exception):
    """A configuration that does not fit its kind; the message names each place, as upstream."""


def field_set(node: Node, value: Any, *, strict: bool = True) -> FieldSet:
    """The fields a value has: leaves, elements of lists, keys of maps and what is empty.

    Fields of objects count only by what they hold. Raises Untyped for unknown fields, wrong types and elements that
    repeat; not if it is not `strict`, as for what is stored already.
    """
    faults: list[str] = []
    found = _field_set(node, value, (), faults if strict else None)
    if faults:
        raise Untyped(faults[0] if len(faults) == 1 else "errors:\n  " + "\n  ".join(faults))
    return found or {}


_Path = tuple[str, ...]  # of path elements


def _field_set(node: Node, value: Any, path: _Path, faults: list[str] | None) -> FieldSet | None:
    """The set below a value, without the value itself; None if it is owned as a whole."""
    if isinstance(node, Deduced):
        return _field_set(ANYTHING, value, path, faults) if isinstance(value, dict) else None
    if value is None:
        return None
    if isinstance(node, Leaf):
        if faults is not None and (wrong := _mismatch(node.form, value)):
            faults.append(f"{_told(path)}: {wrong}")
        return None
    if isinstance(node, Fields):
        return _fields(node, value, path, faults)
    return _items(node, value, path, faults)


def _fields(node: Fields, value: Any, path: _Path, faults: list[str] | None) -> FieldSet | None:
    if not isinstance(value, dict):
        if faults is not None:
            faults.append(f"{_told(path)}: expected map, got {_shown(value)}")
        return None
    found: FieldSet = {}
    for name, item in value.items():
        element = "f:" + name
        declared = node.names.get(name)
        below = declared or node.rest
        if below is None:
            if faults is not None:
                faults.append(f"{_told((*path, element))}: field not declared in schema")
            continue
        inner = _field_set(below, item, (*path, element), faults)
        if name in node.hidden:
            continue
        is_member = inner is None or item == {} or declared is None
        if inner:
            found[element] = {SELF: {}} | inner if is_member else inner
        elif is_member:
            found[element] = {}
    return found


def _items(node: Items, value: Any, path: _Path, faults: list[str] | None) -> FieldSet | None:
    if not isinstance(value, list):
        if faults is not None:
            faults.append(f"{_told(path)}: expected list, got {_shown(value)}")
        return None
    if not value and faults is None:
        return None  # What is stored as an empty list is null in Go, which counts.
    found: FieldSet = {}
    for index, item in enumerate(value):
        try:
            element = node.element(item)
        except Unkeyed as error:
            if faults is not None:
                faults.append(f"{_told(path)}: element {index}: {error}")
            continue
        if element in found and faults is not None:
            faults.append(f"{_told(path)}: duplicate entries for key {path_of(element)}")
        inner = _field_set(node.item, item, (*path, element), faults)
        found[element] = {SELF: {}} | inner if inner else {}
    return found


def _told(path: _Path) -> str:
    return "".join(map(path_of, path))


def _mismatch(form: str, value: Any) -> str | None:
    """What is wrong with a value owned as a whole."""
    match form:
        case "string" if not isinstance(value, str):
            expected = "string"
        case "numeric" if isinstance(value, bool) or not isinstance(value, int | float):
            expected = "numeric (int or float)"
        case "boolean" if not isinstance(value, bool):
            expected = "boolean"
        case "list" if not isinstance(value, list):
            expected = "list"
        case "map" if not isinstance(value, dict):
            expected = "map"
        case "scalar" if isinstance(value, dict | list):
            expected = "scalar"
        case _:
            return None
    return f"expected {expected}, got {_shown(value)}"


def _shown(value: Any) -> str:
    shown = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    return f"&value.valueUnstructured{{Value:{shown or repr(value).replace(chr(39), chr(34))}}}"


def merge(node: Node, live: Any, config: Any) -> Any:
    """`live` with what `config` says. Shares with both."""
    if config is None:
        return live
    if isinstance(node, Deduced):
        node = ANYTHING
    if isinstance(node, Fields) and isinstance(live, dict) and isinstance(config, dict):
        merged = dict(live)
        for name, item in config.items():
            merged[name] = merge(node.below(name), live[name], item) if name in live else item
        return merged
    if isinstance(node, Items) and isinstance(live, list) and isinstance(config, list) and live and config:
        return _merge_items(node, live, config)
    return config


def _merge_items(node: Items, live: list[Any], config: list[Any]) -> list[Any]:
    """The elements of both: in the configuration's order, and the others where the live list has them."""
    try:
        given = {node.element(item): item for item in config}
        here = [node.element(item) for item in live]
    except Unkeyed:
        return config
    first = dict(reversed(list(zip(here, live, strict=True))))
    shared = [element for element in given if element in first]
    merged: list[Any] = []
    queue = list(given)
    for element, item in zip(here, live, strict=True):
        if element not in given:
            merged.append(item)  # Nobody but us repeats elements, and upstream keeps what repeats.
            continue
        if not shared or element != shared[0]:
            continue  # Its place is where the configuration has it.
        while queue:
            taken = queue.pop(0)
            merged.append(merge(node.item, first[taken], given[taken]) if taken in first else given[taken])
            if taken in shared:
                shared.remove(taken)
            if taken == element:
                break
    for taken in queue:
        merged.append(merge(node.item, first[taken], given[taken]) if taken in first else given[taken])
    return merged


def remove(node: Node, value: Any, doomed: FieldSet) -> Any:
    """`value` without the members of a set; None if it is a list and nothing is left. Shares with the argument."""
    if isinstance(node, Deduced):
        node = ANYTHING if isinstance(value, dict) else Leaf("list" if isinstance(value, list) else "any")
    if isinstance(node, Fields) and isinstance(value, dict):
        kept: dict[str, Any] = {}
        for name, item in value.items():
            below = doomed.get("f:" + name)
            if below is None:
                kept[name] = item
            elif below and SELF not in below:
                kept[name] = remove(node.below(name), item, below)
        return {name: item for name, item in kept.items() if item is not None}
    if isinstance(node, Items) and isinstance(value, list):
        rest = []
        for item in value:
            try:
                below = doomed.get(node.element(item))
            except Unkeyed:
                below = None
            if below is None:
                rest.append(item)
            elif below and SELF not in below:
                rest.append(remove(node.item, item, below))
        return rest or None
    return value if isinstance(node, Leaf) and node.form not in ("list", "map") else None


def with_objects(node: Node, fields: FieldSet) -> FieldSet:
    """The set with the declared fields above its members, as if they were members: to take out what gets empty."""
    if isinstance(node, Deduced):
        node = ANYTHING
    if isinstance(node, Leaf):
        return fields
    found: FieldSet = {}
    for element, below in fields.items():
        name = element[2:] if element.startswith("f:") else None
        if isinstance(node, Items):
            inner = with_objects(node.item, below) if element[0] in "kv" else below
        else:
            inner = with_objects(node.below(name), below) if name is not None else below
        if inner and name is not None and isinstance(node, Fields) and name in node.names:
            inner = {SELF: {}} | inner
        found[element] = inner
    return found
