"""What two answers differ in, by JSON path. Uids, times, revisions and ports are no difference; all else is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .recording import Cut, CutList

ABSENT = "<absent>"
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_TOKEN_VOLUME = re.compile(r"kube-api-access-\w{5}")
_AGE = re.compile(r"(\d+[smhd]){1,2}|<unknown>|<invalid>")
_REVISIONS = frozenset({"resourceVersion", "rv"})
# Upstream's come in the order of a Go map.
_SETS = frozenset({"$.status.resourceRules", "$.status.nonResourceRules"})
_REDACTED = "<jwt>"
_PORTS = frozenset({"nodePort", "healthCheckNodePort"})


@dataclass(frozen=True)
class Difference:
    """One place of one answer. `path` begins with `$`, or is `status` or `header:Name`."""

    label: str
    request: str
    path: str
    recorded: Any
    ours: Any

    def __str__(self) -> str:
        told = f"recorded {_short(self.recorded)}\n    ours     {_short(self.ours)}"
        return f"[{self.label}] {self.request}: {self.path}\n    {told}"


def differences(recorded: Any, ours: Any, path: str = "$") -> Iterator[tuple[str, Any, Any]]:
    """(path, recorded, ours) of each place in which they differ."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        recorded, ours = _without_uids(recorded), _without_uids(ours)
        for key, value in recorded.items():
            yield from differences(value, ours.get(key, ABSENT), f"{path}.{key}")
        if not isinstance(recorded, Cut):
            for key in sorted(ours.keys() - recorded.keys()):
                yield f"{path}.{key}", ABSENT, ours[key]
    elif isinstance(recorded, list) and isinstance(ours, list):
        yield from _lists(recorded, ours, path)
    elif not _equal(recorded, ours, path):
        yield path, recorded, ours


def _lists(recorded: list[Any], ours: list[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    """Elements with names are told apart by them, others by their places."""
    if path in _SETS:
        recorded, ours = sorted(recorded, key=repr), sorted(ours, key=repr)
    names, our_names = _names(recorded), _names(ours)
    left = dict(zip(names, recorded, strict=True))
    right = dict(zip(our_names, ours, strict=True))
    for name, value in left.items():
        yield from differences(value, right.get(name, ABSENT), f"{path}[{name}]")
    if not isinstance(recorded, CutList):
        for name in right.keys() - left.keys():
            yield f"{path}[{name}]", ABSENT, right[name]
    order = [name for name in our_names if name in left]
    if not path.endswith("managedFields") and order != [name for name in names if name in right]:
        yield f"{path}:order", names, our_names


def _names(values: list[Any]) -> list[Any]:
    found = [_name(value) for value in values]
    return found if None not in found and len(set(found)) == len(found) else list(range(len(values)))


def _without_uids(tree: dict[str, Any]) -> dict[str, Any]:
    """Sets of fields name owners by uid, in their keys."""
    return type(tree)({_UID.sub("<uid>", key): value for key, value in tree.items()})


def _name(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    if "fieldsType" in value:  # Of managedFields, whose order is that of their times.
        return " ".join(str(value.get(key, "")) for key in ("manager", "operation", "subresource")).strip()
    name = value.get("name", (value.get("metadata") or {}).get("name"))
    return _TOKEN_VOLUME.sub("kube-api-access-<random>", name) if isinstance(name, str) else None


def without_zeros(tree: Any) -> Any:
    """A document as protobuf can tell it: what is zero or empty is not there. Sets of fields are left alone."""
    if isinstance(tree, dict):
        kept = {key: value if key == "fieldsV1" else without_zeros(value) for key, value in tree.items()}
        kept = {key: value for key, value in kept.items() if key == "fieldsV1" or not _is_zero(value)}
        return Cut(kept) if isinstance(tree, Cut) else kept
    if isinstance(tree, list):
        return type(tree)(without_zeros(value) for value in tree)
    return tree


def _is_zero(value: Any) -> bool:
    return value is None or (value in ("", 0, {}, []) and not isinstance(value, Cut | CutList))


def _equal(recorded: Any, ours: Any, path: str) -> bool:
    if recorded is ABSENT or ours is ABSENT or type(recorded) is not type(ours):
        return False
    name = path.rpartition(".")[2]
    if name in _REVISIONS:
        return bool(recorded) == bool(ours)
    if name in _PORTS:
        return (recorded == 0) == (ours == 0)
    if recorded == _REDACTED:
        return isinstance(ours, str) and ours.count(".") == 2
    return recorded == ours or (isinstance(recorded, str) and _normal(recorded) == _normal(ours))


def _normal(text: str) -> str:
    text = _TOKEN_VOLUME.sub("kube-api-access-<random>", _TIME.sub("<time>", _UID.sub("<uid>", text)))
    return "<age>" if _AGE.fullmatch(text) else text


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 400 else f"{text[:400]}…"
