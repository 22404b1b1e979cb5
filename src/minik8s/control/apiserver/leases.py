"""Store leases for objects that live a limited time: Events.

One lease is shared by what is written within a minute, as kube-apiserver does, so that a burst of events does not
cost a lease each; objects live up to that minute longer than their time.
"""

import math

from minik8s.control.apiserver.registry import status_error
from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.storage import Store, StoreError
from minik8s.kit.clock import Clock
from minik8s.wire.etcd import rpc_pb2 as rpc

_SHARED_S = 60
_OBJECTS_MAX = 1000


class Leases:
    """Hands out lease ids; 0 is no lease."""

    def __init__(self, store: Store, *, clock: Clock, event_ttl_s: float = 3600.0) -> None:
        self._store = store
        self._event_ttl_s = event_ttl_s
        self._clock = clock
        self._lease = 0
        self._renew_at_s = 0.0
        self._objects = 0

    async def lease_for(self, resource: Resource) -> int:
        """The lease to write an object of this kind with; 0 if it lives for ever. Raises StatusError."""
        if resource.storage_prefix != "events" or not self._event_ttl_s:
            return 0
        if self._clock.monotonic_s() >= self._renew_at_s or self._objects >= _OBJECTS_MAX:
            ttl_s = math.ceil(self._event_ttl_s) + _SHARED_S
            try:
                response = await self._store.lease_grant(rpc.LeaseGrantRequest(TTL=ttl_s))
            except StoreError as error:
                raise status_error(error) from error
            self._lease = response.ID
            self._renew_at_s = self._clock.monotonic_s() + _SHARED_S
            self._objects = 0
        self._objects += 1
        return self._lease
