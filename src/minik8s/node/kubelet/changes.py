"""Hears of changes in the runtime and says which pods they concern: by its events, or else by listing every second."""

from asyncio import sleep
from collections.abc import Callable

from minik8s.kit.log import get_logger
from minik8s.node.kubelet.cri import CriClient, CriError
from minik8s.node.kubelet.view import PodView

log = get_logger(__name__)

POLL_S = 1.0  # as upstream's relist, for runtimes without events (containerd 1.6)
RETRY_S = 0.2


class RuntimeChanges:
    """`on_change(uid)` for each pod that may have changed; all of them whenever something may have been missed."""

    def __init__(self, cri: CriClient, on_change: Callable[[str], None]) -> None:
        self._cri = cri
        self._on_change = on_change
        self._seen: dict[str, PodView] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async for uid in self._cri.changes():
                    if uid:
                        self._on_change(uid)
                    else:
                        # The stream is open now: whatever came before it is in this list.
                        for listed in await self._cri.pods():
                            self._on_change(listed)
            except CriError as error:
                if error.code == "UNIMPLEMENTED":
                    log.info("the runtime has no events: listing instead", every_s=POLL_S)
                    await self._poll()
                log.debug("runtime events interrupted", code=error.code, error=error.message)
            await sleep(RETRY_S)

    async def _poll(self) -> None:
        while True:
            try:
                listed = await self._cri.pods()
            except CriError as error:
                log.debug("runtime not listed", code=error.code, error=error.message)
            else:
                for uid in listed.keys() | self._seen.keys():
                    if listed.get(uid) != self._seen.get(uid):
                        self._on_change(uid)
                self._seen = listed
            await sleep(POLL_S)
