"""How an object is cut into fields that can be owned: the tree of its kind, and what a change touches. Pure.

Called by `managedfields` for every write, so that equal subtrees are skipped without looking inside. Built by
`topology_builtin` from the models and by `topology_custom` from the schema of a custom resource. `typed` has what
server-side apply does with it besides. As sigs.k8s.io/structured-merge-diff/typed: objects and maps own each key by
itself, lists of keyed elements each element, sets each value; all else is owned as a whole.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minik8s.control.apiserver.fieldset import SELF, FieldSet, key_element, quoted, union, value_element

_WHOLE: FieldSet = {}
_ABSENT = object()


class Unkeyed(Exception):
    """An element of a list that cannot be told from the others. The message is upstream's."""


@dataclass(slots=True)
class Comparison:
    """What a change did to the fields at and below a value."""

    added: FieldSet = field(default_factory=dict)
    modified: FieldSet = field(default_factory=dict)
    removed: FieldSet = field(default_factory=dict)

    @property
    def touched(self) -> FieldSet:
        """All of it."""
        return union(union(self.added, self.modified), self.removed)

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.removed)


class Leaf:
    """A value owned as a whole: a scalar, an atomic list or an atomic map."""

    __slots__ = ("form",)

    def __init__(self, form: str) -> None:
        self.form = form  # what may stand here: string numeric boolean list map scalar any

    def everything(self, value: Any) -> FieldSet:
        """All fields at and below a value."""
        return _WHOLE

    def compare(self, old: Any, new: Any) -> Comparison | None:
        """What differs below two values that differ; None if they are owned as a whole."""
        return None


class Fields:
    """An object (`names`) or a map (`rest`), each of whose keys is owned by itself."""

    __slots__ = ("_make", "_names", "hidden", "rest")

    def __init__(
        self,
        names: Callable[[], Mapping[str, "Node"]],
        rest: "Node | None" = None,
        hidden: Iterable[str] = (),
    ) -> None:
        self._make = names
        self._names: Mapping[str, Node] | None = None
        self.rest = rest
        self.hidden = frozenset(hidden)  # Names whose values nobody owns.

    @property
    def names(self) -> Mapping[str, "Node"]:
        """The declared fields; made on first use, for kinds may contain themselves."""
        if self._names is None:
            self._names = self._make()
        return self._names

    def below(self, name: str) -> "Node":
        """What stands at a key."""
        return self.names.get(name) or self.rest or DEDUCED

    def everything(self, value: Any) -> FieldSet:
        """All fields at and below a value."""
        if not isinstance(value, dict):
            return _WHOLE
        found: FieldSet = {}
        names, rest = self.names, self.rest or DEDUCED
        for name, item in value.items():
            if name not in self.hidden:
                node = names.get(name, rest)
                found["f:" + name] = _WHOLE if type(node) is Leaf else node.everything(item)
        if found:
            found[SELF] = _WHOLE
        return found

    def compare(self, old: Any, new: Any) -> Comparison | None:
        """What differs below two values that differ; None if they are owned as a whole."""
        if not isinstance(old, dict) or not isinstance(new, dict):
            return None
        result = Comparison()
        for name, item in new.items():
            before = old.get(name, _ABSENT)
            if before is item or name in self.hidden:
                continue
            if before is _ABSENT:
                result.added["f:" + name] = self.below(name).everything(item)
            elif before != item:
                _compare(result, "f:" + name, self.below(name), before, item)
        for name, item in old.items():
            if name not in new and name not in self.hidden:
                result.removed["f:" + name] = self.below(name).everything(item)
        return result


class Items:
    """A list whose elements are owned by themselves: told apart by keys, or, without keys, scalars that are a set."""

    __slots__ = ("_key", "_prefix", "defaults", "item", "keys")

    def __init__(self, item: "Node", keys: tuple[str, ...] = (), defaults: Mapping[str, Any] | None = None) -> None:
        self.item = item
        self.keys = keys
        self.defaults = defaults or {}
        self._key = keys[0] if len(keys) == 1 else None  # Most keys are one name: their elements are made at once.
        self._prefix = "k:{" + quoted(self._key) + ":" if self._key else ""

    def element(self, value: Any) -> str:
        """The path element of an element. Raises Unkeyed."""
        if self._key and type(value) is dict and type(given := value.get(self._key)) is str:
            return self._prefix + quoted(given) + "}"
        if not self.keys:
            if isinstance(value, dict | list) or value is None:
                raise Unkeyed("associative list without keys has an element that's not a scalar")
            return value_element(value)
        if not isinstance(value, dict):
            raise Unkeyed("associative list with keys may not have non-map elements")
        keys = {}
        for name in self.keys:
            if name in value:
                keys[name] = value[name]
            elif name in self.defaults:
                keys[name] = self.defaults[name]
            else:
                raise Unkeyed(
                    f'associative list with keys has an element that omits key field "{name}" '
                    "(and doesn't have default value)"
                )
        return key_element(keys)

    def index(self, items: list[Any]) -> dict[str, Any]:
        """The elements by path element; those that repeat an earlier one are kept with it, as `Repeated`."""
        found: dict[str, Any] = {}
        for item in items:
            element = self.element(item)
            if element in found:
                earlier = found[element]
                found[element] = Repeated([*(earlier if isinstance(earlier, Repeated) else [earlier]), item])
            else:
                found[element] = item
        return found

    def everything(self, value: Any) -> FieldSet:
        """All fields at and below a value."""
        if not isinstance(value, list) or not value:
            return _WHOLE
        found: FieldSet = {element: self._whole(item) for element, item in self.index(value).items()}
        found[SELF] = _WHOLE
        return found

    def compare(self, old: Any, new: Any) -> Comparison | None:
        """What differs below two values that differ; None if they are owned as a whole."""
        if not isinstance(old, list) or not isinstance(new, list):
            return None
        result = Comparison()
        before, after = self.index(old), self.index(new)
        for element, item in after.items():
            if element not in before:
                result.added[element] = self._whole(item)
            elif before[element] != item:
                if isinstance(item, Repeated) or isinstance(before[element], Repeated):
                    result.modified[element] = _WHOLE
                else:
                    _compare(result, element, self.item, before[element], item)
        for element, item in before.items():
            if element not in after:
                result.removed[element] = self._whole(item)
        return result

    def _whole(self, item: Any) -> FieldSet:
        return _WHOLE if isinstance(item, Repeated) else self.item.everything(item)


class Repeated(list[Any]):
    """Several elements of a list that look the same to its keys."""


class Deduced:
    """A value of no declared type: a map is granular, everything else is owned as a whole."""

    __slots__ = ()

    def everything(self, value: Any) -> FieldSet:
        """All fields at and below a value."""
        return ANYTHING.everything(value) if isinstance(value, dict) else _WHOLE

    def compare(self, old: Any, new: Any) -> Comparison | None:
        """What differs below two values that differ; None if they are owned as a whole."""
        return ANYTHING.compare(old, new)


Node = Leaf | Fields | Items | Deduced

DEDUCED = Deduced()
ANYTHING = Fields(dict, DEDUCED)


def _compare(result: Comparison, element: str, node: Node, old: Any, new: Any) -> None:
    below = node.compare(old, new)
    if below is None:
        result.modified[element] = _WHOLE
        return
    if below.added:
        result.added[element] = below.added
    if below.modified:
        result.modified[element] = below.modified
    if below.removed:
        result.removed[element] = below.removed


# What every object's identity consists of: owned by nobody. As upstream's stripMeta.
_ROOT_HIDDEN = ("apiVersion", "kind")
_METADATA_HIDDEN = (
    "clusterName",
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
)


def root(names: Callable[[], Mapping[str, Node]], metadata: Node, rest: Node | None = None) -> Fields:
    """The topology of a whole object, given its fields and what its metadata are."""
    assert isinstance(metadata, Fields)
    identity = Fields(lambda: metadata.names, metadata.rest, _METADATA_HIDDEN)
    return Fields(lambda: {**names(), "metadata": identity}, rest, _ROOT_HIDDEN)
