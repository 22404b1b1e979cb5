"""Other objects that admission looks at: newest from the store, or near enough from the watch cache.

Made by `core`, handed to plugins as `Attributes.reader`. A plugin that must not be wrong by a moment (whether a
namespace is going) uses `get`, a round trip to the store; one that upstream serves from an informer (policies of a
namespace, classes, defaults) uses `cached` and `list`, which cost nothing but decoding.
"""

from collections.abc import Sequence

import msgspec

from minik8s.control.apiserver.joined import JoinedReads
from minik8s.control.apiserver.registry import Registry, key_of
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.watchcache import WatchCache

_decode = msgspec.json.Decoder().decode


class ObjectReader:
    """Reads by plural, of built-in kinds. All methods raise StatusError for what the store cannot do."""

    def __init__(self, registry: Registry, cache: WatchCache, resources: Sequence[Resource]) -> None:
        self._joined = JoinedReads(registry.get)  # Many writes at a time ask for the same namespace.
        self._cache = cache
        self._resources = {resource.plural: resource for resource in resources}

    async def get(self, plural: str, namespace: str, name: str) -> Document | None:
        """The newest state of an object, or None if there is none."""
        stored = await self._joined.get(key_of(self._resources[plural], namespace, name))
        return stored.document() if stored else None

    async def cached(self, plural: str, namespace: str, name: str) -> Document | None:
        """An object as the cache has it; what it does not have is looked for in the store."""
        entries = self._cache.kind(self._resources[plural]).entries
        entry = entries.get(f"{namespace}/{name}" if namespace else name)
        return _decode(entry.body) if entry else await self.get(plural, namespace, name)

    async def list(self, plural: str, namespace: str = "") -> list[Document]:
        """The objects of a kind, of one namespace or of all, as the cache has them."""
        kind = self._cache.kind(self._resources[plural])
        if not kind.entries:  # As of most kinds that every write asks for: quotas, LimitRanges, default classes.
            return []
        return [_decode(entry.body) for entry in kind.select(namespace)]
