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
            "etcd_server_is_learner": ("Whether this member is a learner.", service.is_learner),
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
            "etcd_debugging_lease_leases": ("Leases that exist.", len(service.machine.space.leases)),
            "etcd_debugging_mvcc_watch_stream_total": ("Watch streams.", len(service.streams)),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=float(value))
        counters = {
            "etcd_server_leader_changes_seen": ("Changes of this member's leadership.", self._leader_changes),
            "etcd_server_proposals_failed": ("Proposals that were not carried out.", service.failed),
        }
        for name, (text, value) in counters.items():
            yield CounterMetricFamily(name, text, value=value)
        labels = {
            "etcd_server_version": ("server_version", VERSION),
            "etcd_cluster_version": ("cluster_version", VERSION.rpartition(".")[0]),
            "etcd_server_id": ("server_id", f"{service.config.member_id:x}"),
        }
        for name, (label, text) in labels.items():
            family = GaugeMetricFamily(name, "Always 1; the label tells.", labels=[label])
            family.add_metric([text], 1)
            yield family

    def _count_change(self, is_leader: bool, term: int) -> None:
        self._leader_changes += 1
