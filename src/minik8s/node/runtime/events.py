"""Container events to whoever streams GetContainerEvents. A kubelet that hears of a change need not poll for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from minik8s.node.runtime.errors import RuntimeFault
from minik8s.wire.cri import api_pb2 as cri

QUEUE_MAX = 1000


class Events:
    """Fans events out. A subscriber that falls QUEUE_MAX behind is cut off: it lists again and subscribes anew."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[cri.ContainerEventResponse | None]] = set()

    def publish(self, event: cri.ContainerEventResponse) -> None:
        """Never waits."""
        for queue in list(self._queues):
            if queue.qsize() >= QUEUE_MAX:
                self._queues.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    async def subscribe(self) -> AsyncIterator[cri.ContainerEventResponse]:
        """Events from now on. Raises RuntimeFault when too slow."""
        queue: asyncio.Queue[cri.ContainerEventResponse | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            while event := await queue.get():
                yield event
        finally:
            with contextlib.suppress(KeyError):
                self._queues.remove(queue)
        raise RuntimeFault("RESOURCE_EXHAUSTED", f"more than {QUEUE_MAX} events behind; list and subscribe again")
