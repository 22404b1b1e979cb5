"""What goes through the log: one byte that names the command, then etcd's own request bytes wherever etcd has one.

Whatever a member would decide by clock or chance (a lease's id, which leases have expired) is decided by the proposer
and written into the command; applying it reads neither.
"""

import struct
from typing import NamedTuple

PUT = b"p"  # PutRequest
DELETE_RANGE = b"d"  # DeleteRangeRequest
TXN = b"t"  # TxnRequest
COMPACT = b"c"  # CompactionRequest
LEASE_GRANT = b"g"  # LeaseGrantRequest with its ID and effective TTL
LEASE_REVOKE = b"r"  # LeaseRevokeRequest
LEASE_RENEW = b"k"  # LeaseKeepAliveRequest
LEASE_EXPIRE = b"x"  # Expiration
LEASE_TAKE_OVER = b"l"  # a term: its leader restarts all timers
PUBLISH = b"m"  # Member: its name and the URLs it serves clients on
CLUSTER = b"i"  # the id of the cluster, once
ALARM = b"a"  # AlarmRequest that raises or disarms

_EXPIRATION = struct.Struct(">QqQ")
_CLUSTER = struct.Struct(">Q")
_TERM = struct.Struct(">Q")


class Expiration(NamedTuple):
    """The leader of `term` found the lease run out, having seen so many renewals."""

    term: int
    lease_id: int
    renewals: int


def expire(expiration: Expiration) -> bytes:
    """The command that ends an expired lease, unless it was renewed or another leader took over meanwhile."""
    return LEASE_EXPIRE + _EXPIRATION.pack(*expiration)


def read_expiration(payload: bytes) -> Expiration:
    return Expiration(*_EXPIRATION.unpack(payload))


def take_over(term: int) -> bytes:
    """The command by which a new leader becomes the keeper of the leases' timers."""
    return LEASE_TAKE_OVER + _TERM.pack(term)


def read_term(payload: bytes) -> int:
    return int(_TERM.unpack(payload)[0])


def found_cluster(cluster_id: int) -> bytes:
    """The command that gives the cluster its id, unless it has one: members that join later keep to it."""
    return CLUSTER + _CLUSTER.pack(cluster_id)


def read_cluster(payload: bytes) -> int:
    return int(_CLUSTER.unpack(payload)[0])
