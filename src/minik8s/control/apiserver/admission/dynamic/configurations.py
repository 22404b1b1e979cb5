"""The webhooks, policies and bindings there are now, parsed once per write of them."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.watchcache import WatchCache

T = TypeVar("T")
_decode = msgspec.json.Decoder().decode


class Configurations(Generic[T]):
    """What was made of each object of a kind, in the order of their names; follows the watch cache."""

    def __init__(self, cache: WatchCache, resource: Resource, make: Callable[[Document], T]) -> None:
        self._cache = cache
        self._resource = resource
        self._make = make
        self._made: dict[str, tuple[int, T]] = {}

    def all(self) -> list[T]:
        """As of now. Costs a comparison per object when nothing changed."""
        entries: Any = self._cache.kind(self._resource).entries
        if len(self._made) > len(entries):
            self._made = {name: made for name, made in self._made.items() if name in entries}
        found = []
        for name, entry in entries.items():
            made = self._made.get(name)
            if made is None or made[0] != entry.revision:
                made = self._made[name] = (entry.revision, self._make(_decode(entry.body)))
            found.append(made[1])
        return found
