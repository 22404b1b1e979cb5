"""How long Events live, and what a client is told when the store grants no lease."""

import pytest

from minik8s.api.errors import StatusError
from minik8s.control.apiserver.leases import Leases
from minik8s.control.apiserver.resources import CONFIGMAPS, EVENTS
from minik8s.control.apiserver.storage import StoreError
from minik8s.kit.clock import SystemClock
from minik8s.wire.etcd import rpc_pb2 as rpc

from ..harness import scenario


class Granting:
    """A store that only grants leases."""

    def __init__(self):
        self.asked = []
        self.failure = None

    async def lease_grant(self, request):
        if self.failure:
            raise self.failure
        self.asked.append(request.TTL)
        return rpc.LeaseGrantResponse(ID=len(self.asked))


@scenario
async def test_events_of_one_minute_share_a_lease_and_nothing_else_has_one():
    store = Granting()
    leases = Leases(store, clock=SystemClock(), event_ttl_s=600)
    assert [await leases.lease_for(EVENTS) for _ in range(1500)] == [1] * 1000 + [2] * 500
    assert await leases.lease_for(CONFIGMAPS) == 0
    assert store.asked == [660, 660]
    assert await Leases(store, clock=SystemClock(), event_ttl_s=0).lease_for(EVENTS) == 0


@scenario
async def test_without_a_store_an_event_is_503():
    store = Granting()
    store.failure = StoreError("UNAVAILABLE", "no leader")
    with pytest.raises(StatusError) as caught:
        await Leases(store, clock=SystemClock()).lease_for(EVENTS)
    assert caught.value.code == 503
