"""One kind in the watch cache: its objects by `namespace/name`, its recent changes, its watchers.

Filled and changed by `watchcache` alone; read by `reads` and by whoever follows a kind.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from sys import intern

import msgspec
from sortedcontainers import SortedDict

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.control.apiserver import registry
from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.watchers import Change, Entry, WatcherIndex
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_decode_json = msgspec.json.Decoder().decode


class KindCache:
    """One kind: its objects by `namespace/name`, its recent changes, its watchers."""

    def __init__(self, resource: Resource, history_changes: int) -> None:
        self.resource = resource
        self.entries: SortedDict[str, Entry] = SortedDict()
        self.history: deque[Change] = deque()
        self.unreadable: set[str] = set()  # keys of values that are no objects of the kind
        self.oldest = 0  # every change after this revision is in `history`
        self.watchers = WatcherIndex()
        self._history_changes = history_changes

    def select(self, namespace: str) -> Iterable[Entry]:
        """Entries of a namespace (all if empty) in the order of their keys. Raises StatusError InternalError."""
        for key in self.unreadable:  # As upstream: better no list than one that hides objects.
            if key.startswith(f"{namespace}/" if namespace else ""):
                raise self._is_unreadable(key)
        if not namespace:
            return self.entries.values()
        # "0" follows "/": the half-open range holds exactly the keys that begin with `namespace/`.
        keys = self.entries.irange(f"{namespace}/", f"{namespace}0", inclusive=(True, False))
        return (self.entries[key] for key in keys)

    def find(self, namespace: str, name: str) -> Entry | None:
        """One object. Raises StatusError InternalError if nobody can read it."""
        key = f"{namespace}/{name}" if self.resource.namespaced else name
        if key in self.unreadable:
            raise self._is_unreadable(key)
        return self.entries.get(key)

    def since(self, revision: int) -> list[Change]:
        """Changes strictly after `revision`. Raises StatusError Expired when history does not reach back so far."""
        if revision < self.oldest:
            raise errors.expired(f"too old resource version: {revision} ({self.oldest})")
        found = []
        for change in reversed(self.history):
            if change.revision <= revision:
                break
            found.append(change)
        return found[::-1]

    def redefine(self, resource: Resource) -> None:
        """Go on with another definition of the kind, which may select by other fields."""
        if resource.field_names != self.resource.field_names:
            for key, entry in self.entries.items():
                fields = {name: entry.fields[name] for name in ("metadata.name", "metadata.namespace")}
                fields |= resource.fields(_decode_json(entry.body))
                self.entries[key] = replace(entry, fields=fields)
        self.resource = resource

    def _is_unreadable(self, key: str) -> StatusError:
        where = f"/registry/{self.resource.storage_prefix}/{key}"
        return errors.internal(f'unable to transform key "{where}": see the apiserver\'s log')

    def apply(self, key: str, entry: Entry | None, revision: int) -> None:
        """Record one change and hand it to the watchers it concerns."""
        before = self.entries.get(key)
        if entry is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = entry
        if before is None and entry is None:
            return
        change = Change(revision, entry, before)
        self.history.append(change)
        if len(self.history) > self._history_changes:
            self.oldest = self.history.popleft().revision
        self.watchers.deliver(change)


def entry_of(resource: Resource, key: str, value: bytes, revision: int) -> Entry | None:
    """The cached form of a stored value; None if it is not one of ours."""
    namespace, _, name = key.rpartition("/")
    try:
        body = registry.splice(value, revision)
        document = _decode_json(body)
        fields = {"metadata.name": name, "metadata.namespace": namespace} | resource.fields(document)
        labels = _shared(document["metadata"].get("labels") or {})
        return Entry(intern(namespace), name, labels, _shared(fields), body, revision)
    except (ValueError, KeyError, msgspec.DecodeError) as error:
        log.error("ignoring a value that is no object", kind=resource.kind, key=key, error=str(error))
        return None


def _shared(texts: Mapping[str, str]) -> dict[str, str]:
    """The same; thousands of objects have the same phases, nodes and labels: one copy of each will do."""
    return {intern(key): intern(value) if type(value) is str else value for key, value in texts.items()}
