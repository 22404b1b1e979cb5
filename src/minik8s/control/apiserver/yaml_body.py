"""YAML bodies: one document of YAML 1.1 as the JSON tree that Go's decoder makes of it.

Plain scalars are resolved by rules of our own rather than PyYAML's, because they differ: `y` and `n` are booleans,
`0644` is octal, `22:22` and dates are strings. The tree is built from libyaml's events, not by PyYAML's composer, whose
recursion a nested body can drive into a crash. Aliases are expanded into copies, and no body may expand to more
values than it has bytes, so that a few lines cannot fill the memory.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml

from minik8s.control.apiserver.strict import Repeated

DEPTH_MAX = 200
_BOOLEANS = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BINARY_TAG = "tag:yaml.org,2002:binary"


def load(body: bytes) -> Any:
    """The tree of a body. Raises ValueError, in words for the user, for anything but one sound document."""
    loader = yaml.CSafeLoader(body)
    try:
        return _Builder(loader, values_max=len(body) + 1000).document()
    except yaml.YAMLError as error:
        raise ValueError(f"yaml: {_describe(error)}") from None
    finally:
        loader.dispose()


def _describe(error: yaml.YAMLError) -> str:
    mark, problem = (
        getattr(error, "problem_mark", None),
        getattr(error, "problem", None) or str(error).partition("\n")[0],
    )
    return f"line {mark.line + 1}: {problem}" if mark else problem


class _Builder:
    """Makes the tree from a loader's events, counting what it makes."""

    def __init__(self, loader: yaml.CSafeLoader, *, values_max: int) -> None:
        self._next: Callable[[], Any] = loader.get_event
        self._left = values_max
        self._anchored: dict[str, Any] = {}

    def document(self) -> Any:
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        tree = self._value(self._next(), 0)
        self._next()  # the end of the document
        if isinstance(self._next(), yaml.StreamEndEvent):
            return tree
        raise ValueError("yaml: expected a single document, but another one follows")

    def _value(self, event: Any, depth: int) -> Any:
        self._count(depth)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                raise ValueError(f"yaml: unknown anchor '{event.anchor}' referenced")
            return self._copy(self._anchored[event.anchor], depth)
        if isinstance(event, yaml.ScalarEvent):
            value: Any = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(item := self._next(), yaml.SequenceEndEvent):
                value.append(self._value(item, depth + 1))
        else:
            value = self._mapping(depth)
        if event.anchor:  # Known from here on: an alias within its own anchor is unknown.
            self._anchored[event.anchor] = value
        return value

    def _mapping(self, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        repeated = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            value = self._value(self._next(), depth + 1)
            if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                merged = _merge(value) | merged
                continue
            if isinstance(key, dict | list):
                raise ValueError(f"yaml: line {event.start_mark.line + 1}: a key must be a scalar")
            name = _name(key)
            if name in own:
                repeated.append(name)
            own[name] = value
        if not repeated:
            return merged | own
        tree = Repeated(merged | own)
        tree.names = tuple(repeated)
        return tree

    def _copy(self, tree: Any, depth: int) -> Any:
        self._count(depth)
        if isinstance(tree, dict):
            return {key: self._copy(value, depth + 1) for key, value in tree.items()}
        return [self._copy(item, depth + 1) for item in tree] if isinstance(tree, list) else tree

    def _count(self, depth: int) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError("yaml: document contains excessive aliasing")
        if depth > DEPTH_MAX:
            raise ValueError("yaml: exceeded max depth")


def _merge(value: Any) -> dict[str, Any]:
    """What the merge key `<<` brings in: earlier sources win."""
    merged: dict[str, Any] = {}
    for source in value if isinstance(value, list) else [value]:
        if not isinstance(source, dict):
            raise ValueError("yaml: map merge requires map or sequence of maps as the value")
        merged = source | merged
    return merged


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if event.tag == _BINARY_TAG:
        return re.sub(r"\s", "", text)
    is_plain = event.implicit[0]
    if not is_plain:
        return text
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text in _NULLS:
        return None
    if _INTEGER.fullmatch(text):
        return _integer(text.replace("_", ""))
    return float(text) if _FLOAT.fullmatch(text) else text


def _integer(text: str) -> int | str:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if len(digits) > 40:
        return text
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * (int(digits, 0) if digits[1:2] in ("b", "o", "x") else int(digits))


def _name(key: Any) -> str:
    """JSON's names are strings."""
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)
