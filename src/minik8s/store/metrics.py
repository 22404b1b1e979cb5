"""A member's metrics, under etcd's names, read from its state when they are asked for."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from minik8s.store.service import VERSION, Service


class StoreCollector(Collector):
    """Register it and the registry shows the member."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._leader_changes = 0
        service.consensus.on_leadership(self._count_change)

    def describe(self) -> Iterator[Metric]:
        """Nothing is read before the member runs."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        service, consensus, mvcc = self._service, self._service.consensus, self._service.mvcc
        gauges: dict[str, tuple[str, float]] = {
            "etcd_server_has_leader": ("Whether a leader exists. 1 is existence, 0 is not.", bool(consensus.leader)),
            "etcd_server_is_leader": ("Whether this member is the leader.", consensus.is_leader),
            "etcd_server_proposals_committed_total": ("Consensus proposals committed.", consensus.last_index),
            "etcd_server_proposals_applied_total": ("Consensus proposals applied.", consensus.applied_index),
            "etcd_server_proposals_pending": ("Proposals waiting to commit.", service.pending),
            "etcd_server_quota_backend_bytes": ("Backend storage quota in bytes.", service.config.quota_bytes),
            "etcd_mvcc_db_total_size_in_bytes": ("Bytes of all versions held.", mvcc.size_bytes),
            "etcd_mvcc_db_total_size_in_use_in_bytes": ("Bytes of all versions held.", mvcc.size_bytes),
            "etcd_debugging_mvcc_keys_total": ("Keys that exist.", mvcc.key_count),
            "etcd_debugging_mvcc_current_revision": ("The current revision.", mvcc.revision),
            "etcd_debugging_mvcc_compact_revision": ("The last compacted revision.", mvcc.compact_revision),
            "etcd_debugging_mvcc_watcher_total": ("Watchers.", service.hub.watcher_count),
            "etcd_debugging_mvcc_watch_stream_total": ("Watch streams.", len(service.streams)),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=float(value))
        yield CounterMetricFamily(
            "etcd_server_leader_changes_seen", "Changes of this member's leadership.", value=self._leader_changes
        )
        version = GaugeMetricFamily(
            "etcd_server_version", "Always 1, labelled with the version.", labels=["server_version"]
        )
        version.add_metric([VERSION], 1)
        yield version

    def _count_change(self, is_leader: bool, term: int) -> None:
        self._leader_changes += 1
