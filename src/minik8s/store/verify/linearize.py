"""The search for an order of calls that explains every answer: Wing and Gong's, with memoised states. Pure.

A call may come next if no other that is still to come had ended when it began. Three facts keep the search almost
straight, and none of them loses an order:

- What changes nothing and is answered rightly by the state as it is can be placed at once.
- A revision is made once: the write that was answered with the next revision is the next to change the keys.
- A call whose outcome is unknown stays a candidate for ever (it happens, or it does not), and is tried last: only to
  explain a revision that nobody was told of, and then only if a watch saw the same change there.
- One of these that makes no revision (a lease granted, say) is placed only if no order does without it. What is left
  can still happen; what is placed cannot be taken back in a later episode, whose answers alone may tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from minik8s.store.verify.history import Call, Deleted, Event, Put, Request, Txn
from minik8s.store.verify.model import State, Step, agree, step

Change = tuple[str, str, str]
"""Kind, key and value: what one event did."""

_STEPS_MAX = 300_000
_SILENT = (0, 1, 2, 4, 8)  # how many unknown calls that make no revision may have happened, tried in this order


@dataclass(frozen=True, slots=True)
class Placed:
    """A call with its place: what it led to."""

    call: Call
    step: Step


@dataclass(frozen=True, slots=True)
class Outcome:
    """`order` explains all answers if `is_linearizable`, else as many as could be; None: the search was given up."""

    is_linearizable: bool | None
    order: Sequence[Placed]
    state: State
    left: Sequence[Call] = ()  # unknown ones that did not happen, as yet
    blocked: Sequence[Call] = ()  # why not: what could come next, and cannot


def changes(events: Sequence[Event]) -> frozenset[Change]:
    """What events did, whatever their revision."""
    return frozenset((event.kind, event.kv.key, event.kv.value) for event in events)


def linearize(
    calls: Sequence[Call], state: State, seen: Mapping[int, frozenset[Change]] | None = None, *, steps: int = _STEPS_MAX
) -> Outcome:
    """An order of `calls`, which were not refused, from `state` on. `seen`: what watches say a revision changed."""
    ordered = sorted(calls, key=lambda call: call.begin_s)
    unknown = sum(call.is_unknown for call in ordered)
    for silent in (*(number for number in _SILENT if number < unknown), unknown):
        outcome = _Search(ordered, state, seen or {}, silent).run(steps)
        if outcome.is_linearizable is not False:
            break
    return outcome


@dataclass(slots=True)
class _Node:
    """A point of the search: what was placed to come here, and which ways on are left."""

    state: State
    placed: list[int]
    ways: Iterator[tuple[int, Step]]
    silent: int
    """How many unknown calls that made no revision led here."""


@dataclass(slots=True)
class _Search:
    calls: Sequence[Call]
    state: State
    seen: Mapping[int, frozenset[Change]]
    silent_max: int
    _next: list[int] = field(init=False)  # a ring of the calls still to be placed; its head is the last element
    _previous: list[int] = field(init=False)
    _mask: int = 0
    _answers_left: int = field(init=False)
    _writers: dict[int, int] = field(init=False)
    _order: list[Placed] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = len(self.calls)
        self._next = [*range(1, count + 1), 0]
        self._previous = [count, *range(count)]
        self._answers_left = sum(not call.is_unknown for call in self.calls)
        self._writers = {}
        for index, call in enumerate(self.calls):
            if revision := _revision_made(call):
                self._writers.setdefault(revision, index)

    def run(self, steps: int) -> Outcome:
        best = Outcome(False, (), self.state)
        fewest = self._answers_left + 1
        known: set[tuple[int, State]] = set()
        path = [self._node(self.state, [], 0)]
        while path:
            node = path[-1]
            if not self._answers_left:
                left = [self.calls[index] for index in self._remaining()]
                return Outcome(True, tuple(self._order), node.state, left)
            if self._answers_left < fewest:
                fewest = self._answers_left
                blocked = [self.calls[index] for index in self._candidates() if not self.calls[index].is_unknown]
                best = Outcome(False, tuple(self._order), node.state, (), blocked)
            way = next(node.ways, None)
            steps -= 1
            if way is None or steps < 0:
                if steps < 0:
                    return Outcome(None, best.order, best.state, (), best.blocked)
                self._undo(node)
                path.pop()
                continue
            index, taken = way
            self._place(index, taken)
            is_silent = self.calls[index].is_unknown and not taken.events
            after = self._node(taken.state, [index], node.silent + is_silent)
            mark = (self._mask, taken.state)
            if mark in known:
                self._undo(after)
            else:
                known.add(mark)
                path.append(after)
        return best

    def _node(self, state: State, placed: list[int], silent: int) -> _Node:
        """A point reached, with all placed that changes nothing there."""
        is_more = True
        while is_more:
            is_more = False
            for index in list(self._candidates()):
                call = self.calls[index]
                if call.answer is None or index == self._writers.get(state.revision + 1):
                    continue
                taken = step(state, call.request)
                if taken.state == state and agree(taken.answer, call.answer):
                    self._place(index, taken)
                    placed.append(index)
                    is_more = True
        return _Node(state, placed, self._ways(state, may_be_silent=silent < self.silent_max), silent)

    def _ways(self, state: State, *, may_be_silent: bool) -> Iterator[tuple[int, Step]]:
        """The calls that may come next and change something, those of unknown outcome last."""
        candidates = list(self._candidates())
        for index in candidates:
            call = self.calls[index]
            if call.answer is not None:
                taken = step(state, call.request)
                if taken.state != state and agree(taken.answer, call.answer):
                    yield index, taken
        is_told = state.revision + 1 in self._writers
        seen = self.seen.get(state.revision + 1)
        tried: set[Request] = set()
        for index in candidates:
            call = self.calls[index]
            if call.answer is None and call.request not in tried:
                # Equal ones may stand for each other: all of them stay candidates.
                tried.add(call.request)
                taken = step(state, call.request)
                if taken.state == state or not (taken.events or may_be_silent):
                    continue
                if taken.events and (is_told or (seen and not seen <= changes(taken.events))):
                    continue
                yield index, taken

    def _remaining(self) -> Iterator[int]:
        head = len(self.calls)
        index = self._next[head]
        while index != head:
            yield index
            index = self._next[index]

    def _candidates(self) -> Iterator[int]:
        """Calls that no other, still to be placed, precedes."""
        first_end_s = float("inf")
        for index in self._remaining():
            call = self.calls[index]
            if call.begin_s > first_end_s:
                return
            if not call.is_unknown:
                first_end_s = min(first_end_s, call.end_s)
            yield index

    def _place(self, index: int, taken: Step) -> None:
        self._next[self._previous[index]] = self._next[index]
        self._previous[self._next[index]] = self._previous[index]
        self._mask |= 1 << index
        self._answers_left -= not self.calls[index].is_unknown
        self._order.append(Placed(self.calls[index], taken))

    def _undo(self, node: _Node) -> None:
        for index in reversed(node.placed):
            self._next[self._previous[index]] = index
            self._previous[self._next[index]] = index
            self._mask ^= 1 << index
            self._answers_left += not self.calls[index].is_unknown
            self._order.pop()


def _revision_made(call: Call) -> int:
    """The revision that only this call can have made, by its answer; 0 if it need not have made one."""
    answer = call.answer
    if answer is None or answer.error:
        return 0
    if any(isinstance(result, Deleted) and result.count for result in answer.results):
        return answer.revision
    operations = (call.request,)
    if isinstance(call.request, Txn):
        operations = call.request.success if answer.succeeded else call.request.failure  # type: ignore[assignment]
    return answer.revision if any(isinstance(operation, Put) for operation in operations) else 0
