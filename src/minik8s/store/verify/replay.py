"""The history as it must have been, told from the calls placed in order: every revision's changes and state. Pure."""

from collections.abc import Sequence

from minik8s.store.verify.history import Event, KeyValue, in_range
from minik8s.store.verify.linearize import Placed


class Replay:
    """Grows by episodes, from revision 2 on; revision 1 is the empty store."""

    def __init__(self) -> None:
        self._events: list[tuple[Event, ...]] = [(), ()]  # by revision
        self._keys: list[tuple[KeyValue, ...]] = [(), ()]
        self._begun_s: list[float] = [0.0, 0.0]

    @property
    def last(self) -> int:
        """The newest revision."""
        return len(self._events) - 1

    def extend(self, order: Sequence[Placed]) -> None:
        """What the next calls did."""
        for call, step in ((placed.call, placed.step) for placed in order):
            if step.events:
                assert step.state.revision == self.last + 1
                self._events.append(step.events)
                self._keys.append(step.state.keys)
                self._begun_s.append(call.begin_s)

    def events(self, revision: int) -> tuple[Event, ...]:
        """The changes that made `revision`."""
        return self._events[revision]

    def begun_s(self, revision: int) -> float:
        """No sooner can anybody have heard of `revision`."""
        return self._begun_s[revision]

    def select(self, revision: int, key: str, end: str) -> tuple[KeyValue, ...]:
        """[key, end) as it was at `revision`."""
        return tuple(kv for kv in self._keys[revision] if in_range(kv.key, key, end))
