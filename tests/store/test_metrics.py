"""What a member shows to Prometheus bears etcd's names."""

import asyncio
import random

from prometheus_client import CollectorRegistry, generate_latest

from minik8s.kit.clock import SystemClock
from minik8s.store.consensus import Immediate
from minik8s.store.machine import Machine
from minik8s.store.metrics import StoreCollector
from minik8s.store.service import Service, ServiceConfig
from minik8s.wire.etcd import rpc_pb2 as rpc


def test_a_member_shows_its_state_under_etcds_names():
    machine = Machine()
    service = Service(ServiceConfig(0xA1, 1), machine, Immediate(machine), clock=SystemClock(), rng=random.Random(1))
    registry = CollectorRegistry()
    registry.register(StoreCollector(service))
    asyncio.run(service.put(rpc.PutRequest(key=b"a").SerializeToString()))
    shown = dict(
        line.rsplit(" ", 1) for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")
    )
    expected = {
        "etcd_server_has_leader": "1.0",
        "etcd_server_is_leader": "1.0",
        "etcd_server_is_learner": "0.0",
        "etcd_server_leader_changes_seen_total": "1.0",
        "etcd_server_proposals_failed_total": "0.0",
        "etcd_server_proposals_applied_total": "1.0",
        "etcd_debugging_mvcc_keys_total": "1.0",
        "etcd_debugging_mvcc_current_revision": "2.0",
        'etcd_server_version{server_version="3.6.4"}': "1.0",
        'etcd_cluster_version{cluster_version="3.6"}': "1.0",
        'etcd_server_id{server_id="a1"}': "1.0",
    }
    assert {name: shown.get(name) for name in expected} == expected
