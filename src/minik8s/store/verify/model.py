"""etcd in a page: what each request makes of a state, and what it answers. Pure.

Written for its own sake and sharing nothing with the store, so that a mistake there is not repeated here. A state is
small and immutable: the search for a linearization keeps many and compares them.
"""

from typing import NamedTuple

from minik8s.store.verify.history import (
    Answer,
    Compact,
    Compare,
    Delete,
    Deleted,
    Event,
    Grant,
    KeyValue,
    Operation,
    Put,
    Range,
    Ranged,
    Request,
    Revoke,
    Txn,
    Written,
    in_range,
)

LEASE_NOT_FOUND = "etcdserver: requested lease not found"
LEASE_EXISTS = "etcdserver: lease already exists"
COMPACTED = "etcdserver: mvcc: required revision has been compacted"
FUTURE = "etcdserver: mvcc: required revision is a future revision"


class State(NamedTuple):
    """Everything that a request can tell."""

    revision: int = 1
    compact_revision: int = -1
    keys: tuple[KeyValue, ...] = ()  # in key order
    leases: frozenset[int] = frozenset()

    def get(self, key: str) -> KeyValue | None:
        return next((kv for kv in self.keys if kv.key == key), None)

    def select(self, key: str, end: str) -> tuple[KeyValue, ...]:
        return tuple(kv for kv in self.keys if in_range(kv.key, key, end))


class Step(NamedTuple):
    """What a request leads to."""

    state: State
    answer: Answer
    events: tuple[Event, ...] = ()


def step(state: State, request: Request) -> Step:
    """Total: what the client did wrong is an answer."""
    match request:
        case Txn():
            return _txn(state, request)
        case Compact(revision):
            if revision <= state.compact_revision:
                return _error(state, COMPACTED)
            if revision > state.revision:
                return _error(state, FUTURE)
            return Step(state._replace(compact_revision=revision), Answer(state.revision))
        case Grant(lease):
            if lease in state.leases:
                return _error(state, LEASE_EXISTS)
            return Step(state._replace(leases=state.leases | {lease}), Answer(state.revision))
        case Revoke(lease):
            if lease not in state.leases:
                return _error(state, LEASE_NOT_FOUND)
            writer = _Writer(state)
            for kv in state.keys:
                if kv.lease == lease:
                    writer.delete(kv)
            after = writer.committed()
            return Step(after._replace(leases=after.leases - {lease}), Answer(after.revision), tuple(writer.events))
        case _:
            return _run(state, (request,), succeeded=None)


def agree(expected: Answer, actual: Answer) -> bool:
    """Whether a client may have heard `actual`: what was read from the past is not decided here."""
    if expected == actual:
        return True
    if (expected.revision, expected.succeeded, expected.error) != (actual.revision, actual.succeeded, actual.error):
        return False
    return len(expected.results) == len(actual.results) and all(
        one == other or (one == Ranged(None) and isinstance(other, Ranged))
        for one, other in zip(expected.results, actual.results, strict=True)
    )


class _Writer:
    """The writes of one request: one revision, if there are any."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._keys = {kv.key: kv for kv in state.keys}
        self._revision = state.revision + 1
        self.events: list[Event] = []

    def put(self, request: Put) -> None:
        old = self._keys.get(request.key)
        created, version = (old.create_revision, old.version + 1) if old else (self._revision, 1)
        kv = KeyValue(request.key, request.value, created, self._revision, version, request.lease)
        self._keys[request.key] = kv
        self.events.append(Event("put", kv, old))

    def delete(self, kv: KeyValue) -> None:
        del self._keys[kv.key]
        self.events.append(Event("delete", KeyValue(kv.key, mod_revision=self._revision), kv))

    def committed(self) -> State:
        """The state as later operations of the same request see it, and after the last."""
        if not self.events:
            return self._state
        keys = tuple(self._keys[key] for key in sorted(self._keys))
        return self._state._replace(revision=self._revision, keys=keys)


def _txn(state: State, request: Txn) -> Step:
    succeeded = all(_holds(state, compare) for compare in request.compare)
    return _run(state, request.success if succeeded else request.failure, succeeded=succeeded)


def _run(state: State, operations: tuple[Operation, ...], *, succeeded: bool | None) -> Step:
    # As etcd: all that can fail is checked before the first write.
    for operation in operations:
        if isinstance(operation, Put) and operation.lease and operation.lease not in state.leases:
            return _error(state, LEASE_NOT_FOUND)
        if isinstance(operation, Range) and operation.revision > state.revision:
            return _error(state, FUTURE)
        if isinstance(operation, Range) and 0 < operation.revision < state.compact_revision:
            return _error(state, COMPACTED)
    writer = _Writer(state)
    results: list[Ranged | Deleted | Written] = []
    for operation in operations:
        now = writer.committed() if len(operations) > 1 else state
        match operation:
            case Put():
                writer.put(operation)
                results.append(Written())
            case Delete(key, end):
                selected = now.select(key, end)
                for kv in selected:
                    writer.delete(kv)
                results.append(Deleted(len(selected)))
            case Range(key, end, revision):
                is_past = 0 < revision < state.revision
                results.append(Ranged(None if is_past else now.select(key, end)))
    after = writer.committed()
    return Step(after, Answer(after.revision, tuple(results), succeeded), tuple(writer.events))


def _holds(state: State, compare: Compare) -> bool:
    kv = state.get(compare.key)
    if compare.target == "value":
        if kv is None:
            return False  # nothing compares with no value, not even as unequal
        return _compares(kv.value, compare)
    kv = kv or KeyValue(compare.key)
    actual = {
        "version": kv.version, "create": kv.create_revision, "mod": kv.mod_revision, "lease": kv.lease
    }[compare.target]  # fmt: skip
    return _compares(actual, compare)


def _compares(actual: int | str, compare: Compare) -> bool:
    wanted = compare.value
    if compare.result in ("equal", "not_equal"):
        return (actual == wanted) == (compare.result == "equal")
    is_greater = str(actual) > str(wanted) if isinstance(actual, str) else actual > int(wanted)
    is_less = actual != wanted and not is_greater
    return is_greater if compare.result == "greater" else is_less


def _error(state: State, text: str) -> Step:
    return Step(state, Answer(error=text))
