"""Keeps the node known to the API: its Node object, its status, and the Lease that says it is alive.

The lease is renewed every 10 s and the status sent when it changes, else every 5 min, as upstream. Until the node is
ready the runtime is asked several times a second, so that it becomes ready at once.
"""

import random
from asyncio import TaskGroup, sleep
from collections.abc import Callable
from typing import Any

from minik8s.api.coordination_v1 import LEASES
from minik8s.api.core_v1 import NODES, Node
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.kit.backoff import Backoff
from minik8s.kit.clock import Clock, micro_timestamp, timestamp
from minik8s.kit.log import get_logger
from minik8s.node.kubelet.cri import CriClient, CriError
from minik8s.node.kubelet.node import Machine, has_changed, node_conditions, node_document, node_status

log = get_logger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
LEASE_DURATION_S = 40
RENEW_S = 10.0
STATUS_S = 300.0
CHECK_S = 5.0
CHECK_UNREADY_S = 0.1


class Heartbeat:
    """One node's. `node` gives the Node as the informer has it; `on_ready` hears when the node becomes ready."""

    def __init__(
        self,
        machine: Machine,
        *,
        client: Client,
        cri: CriClient,
        node: Callable[[], Node | None],
        on_ready: Callable[[], None],
        pod_cidr: str,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.problems: list[str] = ["container runtime status check may not have completed yet"]
        self.runtime_version = "unknown://unknown"
        self._machine = machine
        self._client = client
        self._cri = cri
        self._node = node
        self._on_ready = on_ready
        self._pod_cidr = pod_cidr
        self._clock = clock
        self._rng = rng
        self._sent: dict[str, Any] | None = None
        self._sent_at_s = 0.0

    @property
    def runtime_name(self) -> str:
        """The scheme of container ids: `minik8s`, `containerd`."""
        return self.runtime_version.partition(":")[0]

    async def run(self) -> None:
        """Register, then keep alive until cancelled."""
        await self._register()
        async with TaskGroup() as group:
            group.create_task(self._keep_status())
            group.create_task(self._keep_lease())

    async def _register(self) -> None:
        backoff = Backoff(self._rng, first_s=0.05, max_s=2.0)
        while True:
            try:
                await self._create_or_label()
            except StatusError as error:
                if backoff.attempts > 5:
                    log.warning("node not registered yet", node=self._machine.name, error=error.message)
                await sleep(backoff.next_s())
            else:
                log.info("node registered", node=self._machine.name)
                return

    async def _create_or_label(self) -> None:
        try:
            await self._client.create(NODES, node_document(self._machine))
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            await self._client.patch(NODES, self._machine.name, {"metadata": {"labels": self._machine.all_labels()}})

    async def _keep_status(self) -> None:
        backoff = Backoff(self._rng, first_s=0.05, max_s=2.0)
        while True:
            await self._look()
            try:
                await self._send()
                backoff.reset()
            except StatusError as error:
                if error.reason == "NotFound":
                    # Someone deleted the Node: as upstream, it comes back only with the kubelet. Ours comes back now.
                    await self._register()
                    self._sent = None
                await sleep(backoff.next_s())
            await sleep(CHECK_UNREADY_S if self.problems else CHECK_S)

    async def _look(self) -> None:
        """Ask the runtime how it is; give it the pod CIDR when it wants one."""
        was_ready = not self.problems
        try:
            unmet = await self._cri.unmet_conditions()
            if any(type_ == "NetworkReady" for type_, _ in unmet) and (cidr := self._cidr()):
                await self._cri.set_pod_cidr(cidr)
                unmet = await self._cri.unmet_conditions()
            if self.runtime_version.startswith("unknown"):
                self.runtime_version = await self._cri.version()
        except CriError as error:
            self.problems = [f"container runtime is down: {error.message}"]
            return
        names = {"NetworkReady": "container runtime network not ready", "RuntimeReady": "container runtime not ready"}
        self.problems = [f"{names.get(type_, type_)}: {message}" for type_, message in unmet]
        if not self.problems and not was_ready:
            self._on_ready()

    def _cidr(self) -> str:
        node = self._node()
        return self._pod_cidr or (node.spec.podCIDR if node and node.spec else None) or ""

    async def _send(self) -> None:
        former = self._sent["conditions"] if self._sent else self._known_conditions()
        conditions = node_conditions(self.problems, former, timestamp(self._clock))
        status = node_status(self._machine, self.runtime_version, conditions)
        now_s = self._clock.monotonic_s()
        if not has_changed(self._sent, status) and now_s - self._sent_at_s < STATUS_S:
            return
        await self._client.patch(NODES, self._machine.name, {"status": status}, subresource="status")
        if self._sent is None or self._sent["conditions"][-1]["status"] != conditions[-1]["status"]:
            log.info("node status", node=self._machine.name, ready=not self.problems, problems="; ".join(self.problems))
        self._sent, self._sent_at_s = status, now_s

    def _known_conditions(self) -> list[dict[str, Any]]:
        """What the API has from before this kubelet started."""
        node = self._node()
        return [
            {
                "type": found.type,
                "status": found.status,
                "lastTransitionTime": found.lastTransitionTime.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for found in (node and node.status and node.status.conditions) or ()
            if found.lastTransitionTime
        ]

    async def _keep_lease(self) -> None:
        backoff = Backoff(self._rng, first_s=0.2, max_s=RENEW_S / 2)
        while True:
            try:
                await self._renew()
            except StatusError as error:
                log.debug("lease not renewed", node=self._machine.name, error=error.message)
                await sleep(backoff.next_s())
            else:
                backoff.reset()
                await sleep(RENEW_S)

    async def _renew(self) -> None:
        spec = {
            "holderIdentity": self._machine.name,
            "leaseDurationSeconds": LEASE_DURATION_S,
            "renewTime": micro_timestamp(self._clock),
        }
        try:
            await self._client.patch(LEASES, self._machine.name, {"spec": spec}, namespace=LEASE_NAMESPACE)
        except StatusError as error:
            if error.reason != "NotFound":
                raise
            document = {"metadata": {"name": self._machine.name, "namespace": LEASE_NAMESPACE}, "spec": spec}
            await self._client.create(LEASES, document)
