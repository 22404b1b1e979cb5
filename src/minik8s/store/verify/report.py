"""The verdict on a history: every check, and what each found. Pure.

records ─▶ episodes ─▶ linearize ─▶ replay ─▶ watches, reads of the past and of one member, hashes, lost writes
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from minik8s.store.verify.history import (
    Answer,
    Call,
    EpisodeEnd,
    Event,
    Hash,
    Put,
    Range,
    Ranged,
    Record,
    Request,
    Txn,
    Watch,
)
from minik8s.store.verify.linearize import Change, Outcome, changes, linearize
from minik8s.store.verify.model import State, agree, step
from minik8s.store.verify.replay import Replay
from minik8s.store.verify.watches import check_watch

_SHOWN = 3


@dataclass(slots=True)
class Report:
    """`is_linearizable` is None if the search was given up; `violations` are texts."""

    calls: int = 0
    acked: int = 0
    """Writes that were answered."""
    unknown: int = 0
    episodes: int = 0
    watches: int = 0
    events: int = 0
    lost: int = 0
    """Acknowledged writes of which the watches, complete as they claim to be, show no trace at their revision."""
    is_linearizable: bool | None = True
    violations: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return self.is_linearizable is True and not self.lost and not self.violations


def verify(records: Iterable[Record]) -> Report:
    """Everything that can be checked of a history."""
    report = Report()
    episodes, watches, hashes = _sorted_out(records)
    seen = _seen(watches, report)
    covered = _covered(watches)
    replay = Replay()
    calls = [call for episode in episodes for call in episode]
    last = max((call.answer.revision for call in calls if call.answer), default=1)
    shown = frozenset().union(*seen.values()) if covered.issuperset(range(2, last + 1)) else None
    _linearize(episodes, seen, shown, replay, report)
    report.calls, report.episodes, report.watches = len(calls), len(episodes), len(watches)
    report.events = sum(len(reply.events) for watch in watches for reply in watch.replies)
    report.unknown = sum(call.is_unknown for call in calls)
    _count_lost(calls, seen, covered, report)
    if report.is_linearizable:
        # Without an order of the calls there is nothing to hold the rest against.
        for watch in watches:
            report.violations += check_watch(watch, replay)
        for call in calls:
            report.violations += _check_read(call, replay)
    report.violations += _check_hashes(hashes)
    return report


def _sorted_out(records: Iterable[Record]) -> tuple[list[list[Call]], list[Watch], list[Hash]]:
    episodes: list[list[Call]] = [[]]
    watches, hashes = [], []
    for record in records:
        match record:
            case Call():
                episodes[-1].append(record)
            case Watch():
                watches.append(record)
            case Hash():
                hashes.append(record)
            case EpisodeEnd():
                episodes.append([])
    if not episodes[-1]:
        episodes.pop()
    return episodes, watches, hashes


def _seen(watches: list[Watch], report: Report) -> dict[int, frozenset[Change]]:
    """What the watches, taken together, say that each revision changed."""
    found: dict[int, dict[tuple[str, str], Event]] = defaultdict(dict)
    for watch in watches:
        for reply in watch.replies:
            for event in reply.events:
                place = (event.kind, event.kv.key)
                other = found[event.kv.mod_revision].setdefault(place, event)
                if other.kv != event.kv:
                    report.violations.append(
                        f"watches disagree about revision {event.kv.mod_revision}: {other.kv} or {event.kv}"
                    )
    return {revision: changes(list(events.values())) for revision, events in found.items()}


def _covered(watches: list[Watch]) -> set[int]:
    """The revisions that a watch of all keys claims to have told."""
    covered: set[int] = set()
    for watch in watches:
        told = [event.kv.mod_revision for reply in watch.replies for event in reply.events]
        if told and (watch.key, watch.end) == ("\0", "\0") and not watch.without:
            covered.update(range(watch.start_revision or min(told), max(told) + 1))
    return covered


def _linearize(
    episodes: list[list[Call]],
    seen: dict[int, frozenset[Change]],
    shown: frozenset[Change] | None,
    replay: Replay,
    report: Report,
) -> None:
    """`shown`: all changes that watches told, if they told all."""
    state = State()
    carried: list[Call] = []
    for number, episode in enumerate(episodes):
        calls = [call for call in (*carried, *episode) if not call.refused and not _is_local(call)]
        if shown is not None:
            calls = [call for call in calls if not call.is_unknown or _may_have_happened(call, shown)]
        outcome = linearize(calls, state, seen)
        if not outcome.is_linearizable:
            report.is_linearizable = outcome.is_linearizable
            report.violations.append(f"episode {number}: {_explain(outcome)}")
            return
        replay.extend(outcome.order)
        state, carried = outcome.state, list(outcome.left)


def _is_local(call: Call) -> bool:
    """A read of one member's state as it is; checked against the replay."""
    return isinstance(call.request, Range) and call.request.serializable


def _may_have_happened(call: Call, shown: frozenset[Change]) -> bool:
    """A write that nobody answered: if it put something, some watch must have seen it. A deletion cannot be told so."""
    request = call.request
    branches: tuple[tuple[Request, ...], ...] = ((request,),)
    if isinstance(request, Txn):
        branches = (request.success, request.failure)
    return any(shown.issuperset(_puts(branch)) for branch in branches)


def _puts(operations: Iterable[Request]) -> frozenset[Change]:
    return frozenset(("put", put.key, put.value) for put in operations if isinstance(put, Put))


def _explain(outcome: Outcome) -> str:
    why = "not linearizable" if outcome.is_linearizable is False else "the search was given up"
    lines = [f"{why}: after {len(outcome.order)} calls, at revision {outcome.state.revision}, no call fits"]
    for call in outcome.blocked[:_SHOWN]:
        expected = step(outcome.state, call.request).answer
        fits = "" if not call.answer or not agree(expected, call.answer) else " (fits, but what follows does not)"
        lines.append(
            f"client {call.client} on {call.member} at {call.begin_s:.6f}: {call.request} heard {call.answer}, "
            f"expected {expected}{fits}"
        )
    return "; ".join(lines)


def _count_lost(calls: list[Call], seen: dict[int, frozenset[Change]], covered: set[int], report: Report) -> None:
    for call in calls:
        if call.answer is None or call.answer.error:
            continue
        puts = _acknowledged(call.request, call.answer)
        report.acked += bool(puts)
        revision = call.answer.revision
        if puts and revision in covered and not puts <= seen.get(revision, frozenset()):
            report.lost += 1
            if report.lost <= _SHOWN:
                report.violations.append(
                    f"lost: {call.request} was acknowledged as revision {revision}, which no watch shows"
                )


def _acknowledged(request: Request, answer: Answer) -> frozenset[Change]:
    """The puts that an answer says were made."""
    if isinstance(request, Txn):
        return _puts(request.success if answer.succeeded else request.failure)
    return _puts((request,))


def _check_read(call: Call, replay: Replay) -> Iterator[str]:
    """What was read on one member, or of the past."""
    request, answer = call.request, call.answer
    if not isinstance(request, Range) or answer is None or answer.error:
        return
    if not (request.serializable or request.revision):
        return
    where = f"client {call.client} on {call.member} at {call.begin_s:.6f}: {request}"
    if answer.revision > replay.last or replay.begun_s(answer.revision) > call.end_s:
        yield f"{where}: revision {answer.revision} was not yet made"
        return
    expected = Ranged(replay.select(request.revision or answer.revision, request.key, request.end))
    if answer.results != (expected,):
        yield f"{where}: read {answer.results} at revision {answer.revision}, expected {expected}"


def _check_hashes(hashes: list[Hash]) -> Iterator[str]:
    by_point: dict[tuple[int, int], dict[str, int]] = defaultdict(dict)
    for record in hashes:
        members = by_point[record.revision, record.compact_revision]
        if members.setdefault(record.member, record.hash) != record.hash:
            yield f"{record.member} hashes revision {record.revision} differently each time"
    for (revision, _), members in by_point.items():
        if len(set(members.values())) > 1:
            yield f"members hash revision {revision} differently: {members}"
