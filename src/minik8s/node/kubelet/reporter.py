"""Sends a pod's status to the API, and its deletion when it has ended; beside the pod's work, never in its way.

Only the newest status counts: while the API cannot be reached, later ones replace it.
"""

import asyncio
import random
from typing import Any

from minik8s.api.core_v1 import PODS, Pod
from minik8s.api.errors import StatusError
from minik8s.api.request import STRATEGIC_MERGE_PATCH
from minik8s.client.client import Client
from minik8s.kit.backoff import Backoff
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_GONE = ("NotFound", "Conflict")  # deleted, or another pod of the same name (the uid is a precondition)


class Reporter:
    """One pod's. `run` sends what `show` and `delete` ask for, in that order."""

    def __init__(self, client: Client, pod: Pod, *, rng: random.Random) -> None:
        assert pod.metadata is not None
        self._client = client
        self._meta = pod.metadata
        self._backoff = Backoff(rng, first_s=0.2, max_s=5.0)
        self._wanted: dict[str, Any] | None = None
        self._sent: dict[str, Any] | None = None
        self._must_delete = False
        self._changed = asyncio.Event()

    def show(self, status: dict[str, Any]) -> None:
        """Have this status sent, if it says anything new."""
        if status != self._wanted:
            self._wanted = status
            self._changed.set()

    def delete(self) -> None:
        """Have the pod removed from the API, once its last status is there."""
        self._must_delete = True
        self._changed.set()

    async def run(self) -> None:
        """Send until cancelled, or until the pod is gone from the API."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._send()
            except StatusError as error:
                if error.reason in _GONE:
                    return
                if self._backoff.attempts > 3:
                    log.warning("pod status not sent", pod=self._name, reason=error.reason, error=error.message)
                self._changed.set()
                await asyncio.sleep(self._backoff.next_s())
            else:
                self._backoff.reset()
                if self._must_delete and not self._changed.is_set():
                    return

    async def _send(self) -> None:
        status = self._wanted
        if status is not None and status != self._sent:
            patch = {"metadata": {"uid": self._meta.uid}, "status": _as_patch(status)}
            await self._client.patch(
                PODS,
                self._meta.name or "",
                patch,
                namespace=self._meta.namespace or "",
                patch_type=STRATEGIC_MERGE_PATCH,
                subresource="status",
            )
            self._sent = status
        if self._must_delete and status is self._wanted:
            await self._client.delete(
                PODS,
                self._meta.name or "",
                namespace=self._meta.namespace or "",
                uid=self._meta.uid or "",
                grace_period_s=0,
            )

    @property
    def _name(self) -> str:
        return f"{self._meta.namespace}/{self._meta.name}"


def _as_patch(status: dict[str, Any]) -> dict[str, Any]:
    """Conditions are merged by type, so that those of other writers stay; addresses are replaced."""
    if not status["podIPs"]:
        return status
    return status | {"podIPs": [{"$patch": "replace"}, *status["podIPs"]]}
