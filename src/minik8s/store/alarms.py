"""Alarms of the cluster, part of the replicated state: while one is raised, commands are refused. Pure.

NOSPACE refuses what makes the store larger, so that its user can delete and compact; CORRUPT refuses everything. Each
stays, across restarts, until it is disarmed.
"""

from minik8s.store import commands
from minik8s.store.errors import CORRUPT, NO_SPACE, EtcdError
from minik8s.wire.etcd import rpc_pb2

_KEYS_AND_LEASES = frozenset(
    (
        commands.PUT,
        commands.DELETE_RANGE,
        commands.TXN,
        commands.COMPACT,
        commands.LEASE_GRANT,
        commands.LEASE_REVOKE,
    )
)


class Alarms:
    """Which member raised which alarm."""

    def __init__(self) -> None:
        self.raised: set[tuple[int, int]] = set()
        """(member id, AlarmType), never NONE."""

    def change(self, request: rpc_pb2.AlarmRequest) -> list[rpc_pb2.AlarmMember]:
        """Raise or disarm one; those concerned, as etcd answers."""
        alarm = (request.memberID, int(request.alarm))
        if request.action == rpc_pb2.AlarmRequest.ACTIVATE:
            if request.alarm not in (rpc_pb2.NOSPACE, rpc_pb2.CORRUPT):
                return []
            self.raised.add(alarm)
        elif alarm in self.raised:
            self.raised.remove(alarm)
        else:
            return []
        return [_member(alarm)]

    def members(self, kind: int = rpc_pb2.NONE) -> list[rpc_pb2.AlarmMember]:
        """The alarms of one kind; of all with NONE."""
        return [_member(alarm) for alarm in sorted(self.raised) if kind in (rpc_pb2.NONE, alarm[1])]

    def check_read(self) -> None:
        """Raises EtcdError if nothing may be read."""
        if self.raised and self._is_raised(rpc_pb2.CORRUPT):
            raise EtcdError(CORRUPT)

    def check_command(self, kind: bytes, payload: bytes) -> None:
        """Raises EtcdError if the command must not be carried out."""
        if not self.raised:
            return
        if kind in _KEYS_AND_LEASES:
            self.check_read()
        if self._is_raised(rpc_pb2.NOSPACE) and needs_space(kind, payload):
            raise EtcdError(NO_SPACE)

    def _is_raised(self, kind: int) -> bool:
        return any(kind == raised for _, raised in self.raised)


def needs_space(kind: bytes, payload: bytes) -> bool:
    """Whether a command makes the store larger; a transaction does if any of its branches puts, taken or not."""
    if kind == commands.TXN:
        return _puts(rpc_pb2.TxnRequest.FromString(payload))
    return kind in (commands.PUT, commands.LEASE_GRANT)


def _puts(request: rpc_pb2.TxnRequest) -> bool:
    return any(
        operation.HasField("request_put") or (operation.HasField("request_txn") and _puts(operation.request_txn))
        for branch in (request.success, request.failure)
        for operation in branch
    )


def _member(alarm: tuple[int, int]) -> rpc_pb2.AlarmMember:
    return rpc_pb2.AlarmMember(memberID=alarm[0], alarm=rpc_pb2.AlarmType.Name(alarm[1]))
