"""The garbage collector: what nobody owns any more is deleted.

A key is one object, `plural/namespace/name`; for `plural` a custom kind has the name of its definition. Two questions
are asked of it:

* as a dependent: is there still an owner? With one that stays, references to those that went are taken out; with none
  it is deleted. That an owner is absent is believed only of the server: caches of different kinds are at different
  revisions, and a child is often seen before its parent.
* as an owner being deleted: with the finalizer `orphan` its dependents' references are taken out first; with
  `foregroundDeletion` it goes after the dependents that block it (blockOwnerDeletion).

`judge` and `is_blocked` are pure; uids, not names, say who is who.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from minik8s.api.apiextensions_v1 import CUSTOMRESOURCEDEFINITIONS, CustomResourceDefinition
from minik8s.api.core_v1 import EVENTS
from minik8s.api.errors import StatusError
from minik8s.api.kind import Kind
from minik8s.api.meta_v1 import OwnerReference, key_of
from minik8s.client.controller import Writes
from minik8s.client.informer import Informer, reach_all
from minik8s.client.unstructured import PartialObject, metadata_kind
from minik8s.control.controllers.context import Context, Watch
from minik8s.control.controllers.customkinds import kind_of
from minik8s.control.controllers.kinds import KINDS

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"

_GONE_MAX = 500  # as upstream

SOLID, WAITING, ABSENT = "solid", "waiting", "absent"
"""An owner stays; waits for its dependents to go (foreground); is gone."""


@dataclass(slots=True)
class Verdict:
    """What becomes of a dependent."""

    delete: str = ""  # the propagation policy to delete it with; "": keep
    drop: list[str] = field(default_factory=list)  # uids of owners to take out of its references


def judge(finalizers: Sequence[str], owners: dict[str, str], *, has_dependents: bool) -> Verdict:
    """`owners`: uid → SOLID, WAITING or ABSENT. As upstream's attemptToDeleteItem."""
    gone = [uid for uid, state in owners.items() if state != SOLID]
    if not gone:
        return Verdict()
    if len(gone) < len(owners):
        return Verdict(drop=gone)
    if WAITING in owners.values() and has_dependents:
        # Its owner waits for it, so it must wait for its own dependents.
        return Verdict(delete="Foreground")
    if ORPHAN in finalizers:
        return Verdict(delete="Orphan")
    return Verdict(delete="Foreground" if FOREGROUND in finalizers else "Background")


def is_blocked(owner_uid: str, dependents: Iterable[Any]) -> bool:
    """Whether a dependent keeps an owner that is deleted in the foreground from going."""
    return any(
        reference.uid == owner_uid and reference.blockOwnerDeletion
        for dependent in dependents
        for reference in dependent.metadata.ownerReferences or ()
    )


class GarbageCollector:
    """Keys are objects of any kind."""

    name = "garbage"

    def __init__(self, context: Context, kinds: Sequence[Kind[Any]] = KINDS) -> None:
        self._client = context.client
        # As upstream, events are not collected: they have no owners, and an hour to live.
        self._kinds = {kind.plural: kind for kind in kinds if kind.plural != EVENTS.plural}
        self._by_name = {(kind.group, kind.name): kind for kind in self._kinds.values()}
        self._informers: dict[str, Informer[Any]] = {
            plural: context.informer(kind) for plural, kind in self._kinds.items()
        }
        for informer in self._informers.values():
            _index(informer)
        self._context = context
        self._gone: OrderedDict[str, None] = OrderedDict()  # uids of objects that were seen to go, the newest
        definitions = context.informer(CUSTOMRESOURCEDEFINITIONS)
        definitions.add_handler(self._define)

    def watches(self) -> Iterable[Watch]:
        return [Watch(kind, self._keys_for(plural)) for plural, kind in self._kinds.items()]

    def _define(self, type_: str, old: CustomResourceDefinition | None, new: CustomResourceDefinition) -> None:
        """Follow the kind of a definition that came or changed; let go of one that went."""
        kind = kind_of(new) if type_ != "DELETED" else None
        place = new.metadata.name or ""
        if self._kinds.get(place) == kind:
            return
        if place in self._kinds:
            gone = self._kinds.pop(place)
            self._by_name.pop((gone.group, gone.name), None)
            # A definition that is not served for a while still has its objects.
            self._context.unfollow(self._informers[place], is_gone=type_ == "DELETED")
            del self._informers[place]
        if kind is not None:
            informer = self._context.follow(self.name, Watch(kind, self._keys_for(place)))
            _index(informer)
            self._kinds[place], self._informers[place] = kind, informer
            self._by_name[kind.group, kind.name] = kind

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        plural, _, place = key.partition("/")
        if plural not in self._kinds:
            return None  # A kind that went since.
        kind, obj = self._kinds[plural], self._informers[plural].get(place)
        if obj is None:
            return None
        meta = obj.metadata
        finalizers = meta.finalizers or ()
        try:
            if meta.deletionTimestamp is not None:
                if ORPHAN in finalizers:
                    await self._orphan_dependents(kind, obj, writes)
                elif FOREGROUND in finalizers:
                    return await self._delete_in_foreground(kind, obj, writes)
                return None
            if meta.ownerReferences:
                await self._collect(kind, obj, writes)
        except StatusError as error:
            if error.reason != "NotFound":
                raise
        return None

    def _keys_for(self, plural: str) -> Any:
        def keys(obj: Any) -> Iterable[str]:
            """The object itself if it has owners or is to take others with it, and whom it concerns."""
            meta = obj.metadata
            if meta.ownerReferences or meta.finalizers:
                yield f"{plural}/{key_of(obj)}"
            current = self._informers[plural].get(key_of(obj))
            is_gone = current is None or current.metadata.uid != meta.uid
            if is_gone and meta.uid:
                self._gone[meta.uid] = None
                while len(self._gone) > _GONE_MAX:
                    self._gone.popitem(last=False)
            if is_gone or meta.deletionTimestamp is not None:
                for other, dependent in self._dependents(meta.uid):
                    yield f"{other}/{key_of(dependent)}"
            # An owner that may be waiting for this one.
            for uid in _owner_uids(obj):
                for owner_plural, owner in self._by_uid(uid):
                    if owner.metadata.deletionTimestamp is not None:
                        yield f"{owner_plural}/{key_of(owner)}"

        return keys

    async def _collect(self, kind: Kind[Any], obj: Any, writes: Writes) -> None:
        states = {one.uid: await self._state_of(one, obj) for one in obj.metadata.ownerReferences}
        has_dependents = any(True for _ in self._dependents(obj.metadata.uid))
        verdict = judge(obj.metadata.finalizers or (), states, has_dependents=has_dependents)
        namespace, name = obj.metadata.namespace or "", obj.metadata.name
        if verdict.drop:
            await writes.patch(kind, name, _without_owners(obj, verdict.drop), namespace=namespace)
        elif verdict.delete:
            await self._client.delete(kind, name, namespace=namespace, uid=obj.metadata.uid, propagation=verdict.delete)

    async def _state_of(self, owner: OwnerReference, dependent: Any) -> str:
        known = next((obj for _, obj in self._by_uid(owner.uid)), None)
        if known is None:
            kind = self._by_name.get((owner.apiVersion.rpartition("/")[0], owner.kind))
            if kind is None:
                # Of a kind nobody here knows: leave it alone, unless it was seen to go.
                return ABSENT if owner.uid in self._gone else SOLID
            known = await self._read(kind, owner, dependent.metadata.namespace or "")
            if known is None:
                return ABSENT
        meta = known.metadata
        waits = meta.deletionTimestamp is not None and FOREGROUND in (meta.finalizers or ())
        return WAITING if waits else SOLID

    async def _read(self, kind: Kind[Any], owner: OwnerReference, namespace: str) -> PartialObject | None:
        """The owner as the server has it; None if it is gone."""
        try:
            found = await self._client.get(
                metadata_kind(kind), owner.name, namespace=namespace if kind.namespaced else ""
            )
        except StatusError as error:
            if error.reason != "NotFound":
                raise
            return None
        return found if found.metadata.uid == owner.uid else None

    async def _orphan_dependents(self, kind: Kind[Any], obj: Any, writes: Writes) -> None:
        await self._catch_up(kind)
        uid = obj.metadata.uid
        for plural, dependent in self._dependents(uid):
            meta = dependent.metadata
            patch = _without_owners(dependent, [uid])
            await writes.patch(self._kinds[plural], meta.name, patch, namespace=meta.namespace or "")
        await self._drop_finalizer(kind, obj, ORPHAN, writes)

    async def _delete_in_foreground(self, kind: Kind[Any], obj: Any, writes: Writes) -> float | None:
        """Let go of an owner whose dependents are gone; theirs is a key of their own (see `keys`)."""
        if is_blocked(obj.metadata.uid, (one for _, one in self._dependents(obj.metadata.uid))):
            return None
        await self._catch_up(kind)
        if is_blocked(obj.metadata.uid, (one for _, one in self._dependents(obj.metadata.uid))):
            return None
        await self._drop_finalizer(kind, obj, FOREGROUND, writes)
        return None

    async def _catch_up(self, kind: Kind[Any]) -> None:
        """Wait until every kind is known as it was when this began: no dependent made before is missed."""
        await reach_all(self._informers.values(), await self._client.current_revision(kind))

    async def _drop_finalizer(self, kind: Kind[Any], obj: Any, finalizer: str, writes: Writes) -> None:
        meta = obj.metadata
        left = [one for one in meta.finalizers or () if one != finalizer]
        patch = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resourceVersion, "finalizers": left or None}}
        await writes.patch(kind, meta.name, patch, namespace=meta.namespace or "")

    def _dependents(self, uid: str) -> Iterable[tuple[str, Any]]:
        for plural, informer in list(self._informers.items()):
            for dependent in informer.by_index("owner", uid):
                yield plural, dependent

    def _by_uid(self, uid: str) -> Iterable[tuple[str, Any]]:
        for plural, informer in list(self._informers.items()):
            for obj in informer.by_index("uid", uid):
                yield plural, obj


def _index(informer: Informer[Any]) -> None:
    informer.add_index("uid", lambda obj: [obj.metadata.uid])
    informer.add_index("owner", _owner_uids)


def _owner_uids(obj: Any) -> list[str]:
    return [reference.uid for reference in obj.metadata.ownerReferences or ()]


def _without_owners(obj: Any, uids: Sequence[str]) -> dict[str, Any]:
    left = [msgspec.to_builtins(one) for one in obj.metadata.ownerReferences or () if one.uid not in uids]
    meta = {"uid": obj.metadata.uid, "resourceVersion": obj.metadata.resourceVersion}
    return {"metadata": meta | {"ownerReferences": left or None}}
