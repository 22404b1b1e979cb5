"""One member of the store as a component: its log, its state and its gRPC server, built from one Config."""

import math
import random
from asyncio import TaskGroup
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector

from minik8s.kit import health, tls
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.store import pages
from minik8s.store.autocompaction import Retention
from minik8s.store.cluster import Cluster, parse_url
from minik8s.store.machine import Machine
from minik8s.store.metrics import StoreCollector
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.node import RaftNode
from minik8s.store.server import Server, ServerConfig
from minik8s.store.service import Service, ServiceConfig
from minik8s.store.upkeep import Upkeep, UpkeepConfig
from minik8s.wire.etcd import rpc_pb2

log = get_logger(__name__)

_HAND_OVER_S = 0.5  # for a leader that is asked to stop
_LOG_ENTRY_SLACK_BYTES = 64 * 1024  # around the largest request


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `minik8s store` can be told."""

    name: str
    data_dir: Path
    cluster: Cluster
    listen_client_urls: Sequence[str]
    advertise_client_urls: Sequence[str]
    listen_peer_url: str
    metrics_urls: Sequence[str] = ()
    joins: bool = False  # a cluster that stands and has had this member added
    client_identity: tls.Identity | None = None  # None: clients come in plain text
    client_certificate_required: bool = True
    peer_identity: tls.Identity | None = None
    heartbeat_s: float = 0.1
    election_timeout_s: float = 1.0
    request_bytes_max: int = 3 * 512 * 1024
    operations_max: int = 128  # in one list of a transaction
    quota_bytes: int = 2 << 30  # negative: unlimited
    snapshot_entries: int = 30_000  # of the log, between two snapshots
    retention: Retention | None = None  # of history; None keeps all until a client compacts
    progress_interval_s: float = 600.0


class Member:
    """Its server ends before its log does, so that what is in flight can still be answered."""

    name = "store"

    def __init__(self, config: Config, *, clock: Clock, rng: random.Random) -> None:
        self._config = config
        self.registry = CollectorRegistry()
        machine = Machine()
        self._raft = RaftNode(_raft_config(config), machine, clock=clock, rng=rng, has_run=machine.has_run)
        self.service = Service(_service_config(config), machine, self._raft, clock=clock, rng=rng)
        self._upkeep = Upkeep(_upkeep_config(config), self.service, clock=clock)
        addresses = [parse_url(url)[:2] for url in config.listen_client_urls]
        self._server = Server(
            ServerConfig(addresses, config.client_identity, config.client_certificate_required), self.service
        )
        self.registry.register(StoreCollector(self.service))
        ProcessCollector(registry=self.registry)

    def checks(self) -> Mapping[str, health.Check]:
        return {"leader": lambda: None if self._raft.leader else "this member knows no leader"}

    async def run(self) -> None:
        config = self._config
        async with (
            TaskGroup() as group,
            pages.serving(config.metrics_urls, config.client_identity, self.checks(), self.registry) as over_http,
        ):
            group.create_task(self._raft.run())
            log.info("member starts", name=config.name, clients=",".join(config.listen_client_urls))
            # Before its log is read a member cannot say more than "not yet": nobody is let in.
            await self._raft.opened.wait()
            group.create_task(self._upkeep.run())
            await self._server.run(over_http)


def _raft_config(config: Config) -> RaftConfig:
    return RaftConfig(
        name=config.name,
        data_dir=config.data_dir,
        peers={name: parse_url(urls[0])[:2] for name, urls in config.cluster.peer_urls.items()},
        listen=parse_url(config.listen_peer_url)[:2],
        identity=config.peer_identity,
        joins=config.joins,
        hand_over_s=_HAND_OVER_S,
        cluster_token=config.cluster.token,
        snapshot_entries=config.snapshot_entries,
        heartbeat_s=config.heartbeat_s,
        election_timeout_s=config.election_timeout_s,
        max_command_bytes=config.request_bytes_max + _LOG_ENTRY_SLACK_BYTES,
        propose_timeout_s=5 + 2 * config.election_timeout_s,
        read_timeout_s=5 + 2 * config.election_timeout_s,
    )


def _service_config(config: Config) -> ServiceConfig:
    cluster = config.cluster
    return ServiceConfig(
        member_id=cluster.member_id(config.name),
        cluster_id=cluster.id,
        token=cluster.token,
        members={
            name: rpc_pb2.Member(ID=cluster.member_id(name), peerURLs=urls) for name, urls in cluster.peer_urls.items()
        },
        request_bytes_max=config.request_bytes_max,
        operations_max=config.operations_max,
        lease_ttl_min_s=math.ceil(1.5 * config.election_timeout_s),
        quota_bytes=config.quota_bytes,
    )


def _upkeep_config(config: Config) -> UpkeepConfig:
    published = rpc_pb2.Member(
        ID=config.cluster.member_id(config.name),
        name=config.name,
        peerURLs=config.cluster.peer_urls[config.name],
        clientURLs=config.advertise_client_urls,
    )
    return UpkeepConfig(
        progress_interval_s=config.progress_interval_s,
        leaderless_max_s=3 * config.election_timeout_s,
        published=published,
        retention=config.retention,
    )
