"""etcd's errors: the gRPC code and the exact text that its clients match on.

Raised by the cores and the service; `server` turns them into gRPC statuses, once. The state machine returns them as
values.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """What went wrong, as the wire says it: the name of a gRPC status code and etcd's text."""

    code: str
    text: str


class EtcdError(Exception):
    """A request that failed for a reason its client is told."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault

    @property
    def code(self) -> str:
        """The name of the gRPC status code, such as "OUT_OF_RANGE"."""
        return self.fault.code

    @property
    def text(self) -> str:
        """etcd's text, such as "etcdserver: key is not provided"."""
        return self.fault.text


EMPTY_KEY = Fault("INVALID_ARGUMENT", "etcdserver: key is not provided")
KEY_NOT_FOUND = Fault("INVALID_ARGUMENT", "etcdserver: key not found")
VALUE_PROVIDED = Fault("INVALID_ARGUMENT", "etcdserver: value is provided")
LEASE_PROVIDED = Fault("INVALID_ARGUMENT", "etcdserver: lease is provided")
TOO_MANY_OPERATIONS = Fault("INVALID_ARGUMENT", "etcdserver: too many operations in txn request")
DUPLICATE_KEY = Fault("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request")
INVALID_SORT = Fault("INVALID_ARGUMENT", "etcdserver: invalid sort option")
REQUEST_TOO_LARGE = Fault("INVALID_ARGUMENT", "etcdserver: request is too large")
MALFORMED = Fault("INTERNAL", "grpc: error while unmarshaling request: proto: cannot parse invalid wire-format data")

COMPACTED = Fault("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
FUTURE_REVISION = Fault("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")
LEASE_TTL_TOO_LARGE = Fault("OUT_OF_RANGE", "etcdserver: too large lease TTL")

LEASE_NOT_FOUND = Fault("NOT_FOUND", "etcdserver: requested lease not found")
LEASE_EXISTS = Fault("FAILED_PRECONDITION", "etcdserver: lease already exists")
NO_SPACE = Fault("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")
MEMBER_NOT_FOUND = Fault("NOT_FOUND", "etcdserver: member not found")
BAD_PEER_URLS = Fault("INVALID_ARGUMENT", "etcdserver: given member URLs are invalid")
PEER_URLS_EXIST = Fault("FAILED_PRECONDITION", "etcdserver: Peer URLs already exists")
MEMBER_NOT_LEARNER = Fault("FAILED_PRECONDITION", "etcdserver: can only promote a learner member")
LEARNER_NOT_READY = Fault(
    "FAILED_PRECONDITION", "etcdserver: can only promote a learner member which is in sync with leader"
)
UNHEALTHY_CLUSTER = Fault("UNAVAILABLE", "etcdserver: unhealthy cluster")
NOT_LEADER = Fault("FAILED_PRECONDITION", "etcdserver: not leader")
BAD_TRANSFEREE = Fault("FAILED_PRECONDITION", "etcdserver: bad leader transferee")
TRANSFER_TIMED_OUT = Fault("UNKNOWN", "etcdserver: request timed out, leader transfer took too long")
AUTH_NOT_ENABLED = Fault("FAILED_PRECONDITION", "etcdserver: authentication is not enabled")
TOO_MANY_REQUESTS = Fault("RESOURCE_EXHAUSTED", "etcdserver: too many requests")

NO_LEADER = Fault("UNAVAILABLE", "etcdserver: no leader")
STOPPED = Fault("UNAVAILABLE", "etcdserver: server stopped")
CORRUPT = Fault("DATA_LOSS", "etcdserver: corrupt cluster")
# Of a write this leaves the outcome unknown, and etcd's clients do not send it again.
REQUEST_TIMED_OUT = Fault("UNAVAILABLE", "etcdserver: request timed out")

# Lock and Election: as etcd's, without a code of their own.
SESSION_EXPIRED = Fault("UNKNOWN", "mutex: session is expired")
ELECTION_NO_LEADER = Fault("UNKNOWN", "election: no leader")
ELECTION_NOT_LEADER = Fault("UNKNOWN", "election: not leader")
MISSING_LEADER_KEY = Fault("UNKNOWN", '"leader" field must be provided')


def unimplemented(method: str) -> EtcdError:
    """The answer to a call that this store does not serve."""
    return EtcdError(Fault("UNIMPLEMENTED", f"minik8s store: {method} is not implemented"))
