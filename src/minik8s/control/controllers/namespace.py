"""Namespaces that are being deleted: emptied first, then let go.

The apiserver admits nothing new into a terminating namespace, so emptying ends. Each look asks the server, not a
cache, what is left: finalizing too early would leave objects that no one can reach.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from minik8s.api.apiextensions_v1 import CUSTOMRESOURCEDEFINITIONS
from minik8s.api.core_v1 import NAMESPACES
from minik8s.api.errors import StatusError
from minik8s.api.kind import Kind
from minik8s.api.meta_v1 import key_of
from minik8s.client.controller import Writes
from minik8s.client.unstructured import delete_collection, finalize, metadata_kind
from minik8s.control.controllers.context import Context, Watch
from minik8s.control.controllers.customkinds import kind_of
from minik8s.control.controllers.kinds import KINDS
from minik8s.kit.log import get_logger

log = get_logger(__name__)

FINALIZER = "kubernetes"

# Pods need their grace period; nothing announces that the last object went.
_LOOK_AGAIN_S = 0.5


class NamespaceController:
    """Keys are Namespaces."""

    name = "namespace"

    def __init__(self, context: Context, kinds: Sequence[Kind[Any]] = KINDS) -> None:
        self._client = context.client
        self._namespaces = context.informer(NAMESPACES)
        self._kinds = [metadata_kind(kind) for kind in kinds if kind.namespaced]

    def watches(self) -> Iterable[Watch]:
        return (Watch(NAMESPACES, lambda namespace: [key_of(namespace)]),)

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        namespace = self._namespaces.get(key)
        if namespace is None or namespace.metadata.deletionTimestamp is None:
            return None
        if FINALIZER not in ((namespace.spec.finalizers if namespace.spec else None) or ()):
            return None  # others' finalizers hold it
        left = 0
        for kind in [*await self._custom_kinds(), *self._kinds]:
            left += await self._empty(kind, key)
        if left:
            return _LOOK_AGAIN_S
        try:
            await finalize(self._client, NAMESPACES, key, uid=namespace.metadata.uid or "", finalizer=FINALIZER)
        except StatusError as error:
            if error.reason != "NotFound":
                raise
        log.info("namespace finalized", namespace=key)
        return None

    async def _custom_kinds(self) -> list[Kind[Any]]:
        """The namespaced kinds that are defined now, as the server says."""
        definitions = (await self._client.list(CUSTOMRESOURCEDEFINITIONS)).items
        return [kind for each in definitions if (kind := kind_of(each)) is not None and kind.namespaced]

    async def _empty(self, kind: Kind[Any], namespace: str) -> int:
        """Delete what is there of one kind; how much there was, or is still going."""
        try:
            found = (await self._client.list(kind, namespace=namespace)).items
            if any(one.metadata.deletionTimestamp is None for one in found):
                await delete_collection(self._client, kind, namespace=namespace)
                found = (await self._client.list(kind, namespace=namespace)).items
        except StatusError as error:
            if error.reason != "NotFound":
                raise
            return 0  # The kind itself went.
        return len(found)
