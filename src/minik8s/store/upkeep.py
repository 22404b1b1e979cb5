"""What a member does unasked: end leases while it leads, notify watchers, tell the others where it serves clients.

One loop on a slow beat. Everything it changes goes through the log like a client's request; what fails is tried again
on the next beat.
"""

from asyncio import TaskGroup, sleep
from dataclasses import dataclass

from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.store import commands
from minik8s.store.autocompaction import AutoCompaction, Retention
from minik8s.store.errors import NO_LEADER, EtcdError
from minik8s.store.service import Service
from minik8s.wire.etcd import rpc_pb2

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UpkeepConfig:
    """Intervals and limits, as etcd's."""

    beat_s: float = 0.5
    progress_interval_s: float = 600.0
    leaderless_max_s: float = 3.0  # three election timeouts; then streams that require a leader end
    revocations_per_beat: int = 500
    revocations_in_flight: int = 16
    published: rpc_pb2.Member | None = None  # what this member says of itself; None says nothing
    retention: Retention | None = None


class Upkeep:
    """The loop of one member."""

    def __init__(self, config: UpkeepConfig, service: Service, *, clock: Clock) -> None:
        self._config = config
        self._service = service
        self._clock = clock
        self._led_at_s = 0.0
        self._progress_at_s = 0.0
        self._compaction: AutoCompaction | None = None

    async def run(self) -> None:
        self._led_at_s = self._clock.monotonic_s()
        self._progress_at_s = self._led_at_s + self._config.progress_interval_s
        if self._config.retention:
            self._compaction = AutoCompaction(self._config.retention, now_s=self._led_at_s)
        while True:
            try:
                await self._beat()
            except* EtcdError as errors:
                log.debug("upkeep will be tried again", errors=errors.exceptions)
            await sleep(self._config.beat_s)

    async def _beat(self) -> None:
        self._notify_progress()
        self._end_leaderless_streams()
        if self._service.consensus.leader:
            await self._publish()
            await self._compact()
            await self._keep_leases()

    def _notify_progress(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._progress_at_s:
            return
        self._progress_at_s = now_s + self._config.progress_interval_s
        for stream in self._service.streams:
            stream.tick()

    def _end_leaderless_streams(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._service.consensus.leader:
            self._led_at_s = now_s
        elif now_s - self._led_at_s > self._config.leaderless_max_s:
            for stream in self._service.streams:
                if stream.requires_leader:
                    stream.fail(EtcdError(NO_LEADER))

    async def _publish(self) -> None:
        service, member = self._service, self._config.published
        if not member:
            return
        if service.consensus.is_leader and not service.machine.cluster_id:
            await service.propose(commands.found_cluster(service.config.cluster_id))
        if service.machine.members.get(member.ID) != member:
            await service.propose(commands.PUBLISH + member.SerializeToString())

    async def _compact(self) -> None:
        if not self._compaction:
            return
        service = self._service
        # Everyone keeps count, so that a new leader goes on where the old one was.
        revision = self._compaction.due(self._clock.monotonic_s(), service.mvcc.revision)
        if revision and service.consensus.is_leader and revision > service.mvcc.compact_revision:
            log.info("compacts", revision=revision)
            await service.compact(rpc_pb2.CompactionRequest(revision=revision))

    async def _keep_leases(self) -> None:
        consensus, leases = self._service.consensus, self._service.machine.space.leases
        term = consensus.term
        if not consensus.is_leader or not len(leases):
            return
        if leases.term < term:
            await self._service.propose(commands.take_over(term))
        run_out = self._service.expiry.run_out(self._config.revocations_per_beat)
        ends = iter([commands.Expiration(term, lease_id, leases.get(lease_id).renewals) for lease_id in run_out])

        async def revoke() -> None:
            for end in ends:
                await self._service.propose(commands.expire(end))

        async with TaskGroup() as group:
            for _ in range(min(len(run_out), self._config.revocations_in_flight)):
                group.create_task(revoke())
