"""Workers that bring one key after another from what is to what should be.

    informer ──handler: key──▶ WorkQueue ──▶ barrier ──▶ reconcile(key, writes) ──▶ API ──▶ informer

The barrier makes stale caches harmless without client-go's "expectations". All revisions are of one global sequence,
so it is enough to remember, per key, the revision of the last write of each kind made for it, and to wait before the
next look until the informers of those kinds have reached it. After a write of unknown outcome the floor is the
server's current revision: whatever became of the write, it is seen or will never be (a request that is still on its
way is rarer than its timeout allows, and meets deterministic names and preconditions).

Failures put the key back with exponential back-off. One that is not a StatusError is our bug: it is logged as an error
and counted in `faults`, but it must not keep the other keys from being looked at.
"""

from asyncio import TaskGroup
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.kind import Kind, T
from minik8s.api.request import MERGE_PATCH
from minik8s.client.client import Client
from minik8s.client.informer import Informer
from minik8s.client.workqueue import WorkQueue
from minik8s.kit.log import get_logger

log = get_logger(__name__)

Informers = Mapping[str, Informer[Any]]
"""Informers by the plural of their kind."""

S = TypeVar("S", bound=msgspec.Struct)

# Refusals prove that nothing was written; every other failure leaves it open.
_REFUSALS = range(400, 500)


class Writes:
    """The writing half of a Client, remembering per kind how far its informer must get to show what was written."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.floors: dict[str, int] = {}  # plural → revision
        self.doubtful: set[str] = set()  # plurals with a write of unknown outcome

    async def create(self, kind: Kind[T], obj: T | Mapping[str, Any], *, namespace: str = "") -> T:
        """As Client.create."""
        return await self._noted(kind, self._client.create(kind, obj, namespace=namespace))

    async def patch(
        self,
        kind: Kind[T],
        name: str,
        patch: Mapping[str, Any] | Sequence[Any],
        *,
        namespace: str = "",
        patch_type: str = MERGE_PATCH,
        subresource: str = "",
    ) -> T:
        """As Client.patch."""
        call = self._client.patch(
            kind, name, patch, namespace=namespace, patch_type=patch_type, subresource=subresource
        )
        return await self._noted(kind, call)

    async def delete(self, kind: Kind[Any], name: str, *, namespace: str = "", uid: str = "") -> None:
        """As Client.delete; an object that is gone already is no failure."""
        try:
            revision = await self._client.delete(kind, name, namespace=namespace, uid=uid)
        except StatusError as error:
            self._doubt(kind, error)
            if error.reason != "NotFound":
                raise
            # It may be gone by a write newer than what the informer shows.
            self.doubtful.add(kind.plural)
            return
        self._note(kind, revision)

    async def _noted(self, kind: Kind[T], call: Awaitable[T]) -> T:
        try:
            obj: Any = await call
        except StatusError as error:
            self._doubt(kind, error)
            raise
        self._note(kind, int(obj.metadata.resourceVersion or 0))
        return obj

    def _note(self, kind: Kind[Any], revision: int) -> None:
        if not revision:
            self.doubtful.add(kind.plural)
        self.floors[kind.plural] = max(self.floors.get(kind.plural, 0), revision)

    def _doubt(self, kind: Kind[Any], error: StatusError) -> None:
        # A conflict or "already exists" proves that the informer lags behind, as much as a lost answer does.
        if error.code not in _REFUSALS or error.code == 409:
            self.doubtful.add(kind.plural)


Reconcile = Callable[[str, Writes], Awaitable[float | None]]
"""Looks at a key and acts through the Writes it is given; the seconds after which to look again, or None."""


class Controller:
    """Runs `reconcile` for the keys of a queue."""

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        *,
        queue: WorkQueue,
        client: Client,
        informers: Informers,
        workers: int = 4,
    ) -> None:
        """`informers` are those that `reconcile` reads: the barrier waits for them, and only for them."""
        self.name = name
        self.queue = queue
        self._reconcile = reconcile
        self._client = client
        self._informers = informers
        self._workers = workers
        self.faults = 0  # exceptions that no reconcile should raise
        self._pending: dict[str, Writes] = {}  # key → what its informers have still to show

    async def run(self) -> None:
        """Work until cancelled, once the informers are synced."""
        for informer in self._informers.values():
            await informer.synced.wait()
        try:
            async with TaskGroup() as tasks:
                for _ in range(self._workers):
                    tasks.create_task(self._work())
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._process(key)
            finally:
                self.queue.done(key)

    async def _process(self, key: str) -> None:
        try:
            await self._wait_for_own_writes(key)
        except (StatusError, TimeoutError) as error:
            delay_s = self.queue.retry(key)
            log.info("cache is behind", controller=self.name, key=key, error=str(error), retry_s=round(delay_s, 2))
            return
        writes = Writes(self._client)
        try:
            again_s = await self._reconcile(key, writes)
        except StatusError as error:
            delay_s = self.queue.retry(key)
            log.info(
                "reconcile failed",
                controller=self.name,
                key=key,
                reason=error.reason,
                error=error.message,
                retry_s=round(delay_s, 2),
            )
            return
        except Exception:
            self.faults += 1
            self.queue.retry(key)
            log.error("reconcile crashed", controller=self.name, key=key, exc_info=True)
            return
        finally:
            if writes.floors or writes.doubtful:
                self._pending[key] = writes
        self.queue.forget(key)
        if again_s is not None:
            self.queue.add_after(key, again_s)

    async def _wait_for_own_writes(self, key: str) -> None:
        writes = self._pending.get(key)
        if writes is None:
            return
        for plural in sorted(writes.doubtful):
            if plural in self._informers:
                revision = await self._client.current_revision(self._informers[plural].kind)
                writes.floors[plural] = max(writes.floors.get(plural, 0), revision)
            writes.doubtful.discard(plural)
        for plural, revision in writes.floors.items():
            if plural in self._informers:
                await self._informers[plural].reach(revision)
        del self._pending[key]
