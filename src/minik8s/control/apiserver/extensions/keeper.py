"""Keeps CustomResourceDefinitions: judges new ones, and empties those that are being deleted.

Runs in every apiserver, as upstream's controllers of the kind do. All of them come to the same verdict from the same
definitions and write it guarded by the revision they saw, so it is written once; whoever was slower drops it.
"""

import asyncio
import random
from asyncio import sleep

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.extensions import naming
from minik8s.control.apiserver.extensions.definitions import Definitions
from minik8s.control.apiserver.handler import Handler
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.customresourcedefinition import (
    CLEANUP_FINALIZER,
    CUSTOMRESOURCEDEFINITIONS,
    ESTABLISHED,
    TERMINATING,
    condition,
    has_condition,
)
from minik8s.kit.backoff import Backoff
from minik8s.kit.clock import Clock, timestamp
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_PLACE = (CUSTOMRESOURCEDEFINITIONS.group, CUSTOMRESOURCEDEFINITIONS.version, CUSTOMRESOURCEDEFINITIONS.plural)
_REFUSED = frozenset({"Conflict", "NotFound"})  # Somebody else was there before; the change will be seen.


class Keeper:
    """Looks at every definition after each change of one."""

    def __init__(self, definitions: Definitions, handler: Handler, *, clock: Clock, rng: random.Random) -> None:
        self._definitions = definitions
        self._handler = handler
        self._clock = clock
        self._rng = rng
        self._changed = asyncio.Event()
        definitions.listeners.append(self._changed.set)

    async def run(self) -> None:
        """Work until cancelled."""
        backoff = Backoff(self._rng, first_s=0.2, max_s=5.0)
        while True:
            await self._changed.wait()
            self._changed.clear()
            is_done = True
            for name in list(self._definitions.current):
                try:
                    is_done = await self._look(name) and is_done
                except StatusError as error:
                    if error.reason not in _REFUSED:
                        log.info("a definition has to wait", name=name, error=error.message)
                        is_done = False
            if is_done:
                backoff.reset()
            else:
                await sleep(backoff.next_s())
                self._changed.set()

    async def _look(self, name: str) -> bool:
        """Bring a definition forward; False if it has to be looked at again though it does not change."""
        definition = self._definitions.current.get(name)
        if definition is None:
            return True
        if "deletionTimestamp" in definition["metadata"]:
            if CLEANUP_FINALIZER not in (definition["metadata"].get("finalizers") or ()):
                return True
            return await self._clean_up(definition)
        judged = naming.judged(definition, self._definitions.current.values(), timestamp(self._clock))
        if judged != definition:
            await self._write(judged, "status")
        return True

    async def _clean_up(self, definition: Document) -> bool:
        """Delete the objects of a definition that is going; let it go when there are none."""
        now = timestamp(self._clock)
        found = condition(definition, TERMINATING)
        if found is None or found["reason"] == "InstanceDeletionPending":
            marked = msgspec.json.decode(msgspec.json.encode(definition))
            message = "CustomResource deletion is in progress"
            naming.set_condition(marked, TERMINATING, "True", "InstanceDeletionInProgress", message, now)
            await self._write(marked, "status")
            return True  # Seen again when that is written.
        if has_condition(definition, ESTABLISHED) and (left := await self._delete_all(definition)):
            log.info("waiting for custom objects to go", definition=definition["metadata"]["name"], left=left)
            return False
        freed = msgspec.json.decode(msgspec.json.encode(definition))
        freed["metadata"]["finalizers"] = [
            each for each in freed["metadata"]["finalizers"] if each != CLEANUP_FINALIZER
        ]
        await self._write(freed, "")
        return True

    async def _delete_all(self, definition: Document) -> int:
        """Delete every object; how many are still there."""
        spec = definition["spec"]
        served = [version["name"] for version in spec["versions"] if version["served"]]
        if not served:
            return 0
        place = (spec["group"], served[0], spec["names"]["plural"])
        listed = await self._handler.call(Request("list", *place))
        items = msgspec.json.decode(listed.body)["items"]
        for item in items:
            metadata = item["metadata"]
            if "deletionTimestamp" in metadata:
                continue
            where = metadata.get("namespace", ""), metadata["name"]
            try:
                await self._handler.call(Request("delete", *place, *where))
            except StatusError as error:
                if error.reason != "NotFound":
                    raise
        listed = await self._handler.call(Request("list", *place, query={"limit": "1"}))
        return len(msgspec.json.decode(listed.body)["items"])

    async def _write(self, definition: Document, subresource: str) -> None:
        body = msgspec.json.encode(definition)
        name = definition["metadata"]["name"]
        await self._handler.call(Request("update", *_PLACE, name=name, subresource=subresource, body=body))
