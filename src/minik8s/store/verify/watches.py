"""What a watch told, held against the replay: etcd's promises about watches, each with its own words. Pure.

Ordered by revision, unique, reliable (no gap), atomic (a revision in one message), resumable (from the revision asked
for), bookmarkable (progress at R: all up to R was told before), with the right previous values, and never ahead of
the write. One expected sequence decides all of them; the words say how it was missed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from minik8s.store.verify.history import Event, Reply, Watch, in_range
from minik8s.store.verify.replay import Replay


def check_watch(watch: Watch, replay: Replay) -> list[str]:
    """What is wrong; at most one finding a watch, as later ones follow from the first."""
    name = f"watch {watch.watcher} on {watch.member} from revision {watch.start_revision or 'now'}"
    check = _Check(watch, replay)
    for number, reply in enumerate(watch.replies):
        if fault := check.fault(reply):
            return [f"{name}, message {number}: {fault}"]
    return []


@dataclass(slots=True)
class _Check:
    watch: Watch
    replay: Replay
    next_revision: int = field(init=False)
    """The watch is complete up to here, exclusive."""
    progress_revision: int = 0

    def __post_init__(self) -> None:
        self.next_revision = self.watch.start_revision

    def fault(self, reply: Reply) -> str:
        """What is wrong with the next message; empty: nothing."""
        if reply.is_created:
            self.next_revision = self.next_revision or reply.revision + 1
            return ""
        if reply.is_cancelled:
            is_compacted = reply.compact_revision > self.next_revision
            return (
                ""
                if is_compacted or not reply.compact_revision
                else (f"cancelled for compaction at {reply.compact_revision}, which is not past {self.next_revision}")
            )
        return self._progress_fault(reply) if reply.is_progress else self._events_fault(reply)

    def _progress_fault(self, reply: Reply) -> str:
        at = reply.revision
        if at < self.progress_revision:
            return f"progress went back from {self.progress_revision} to {at}"
        self.progress_revision = at
        if at > self.replay.last:
            return f"progress at {at}, but the last revision is {self.replay.last}"
        missing = next(self._expected(self.next_revision, at), None)
        if missing:
            return f"progress at {at}, but revision {missing.kv.mod_revision} was not told before: skipped"
        self.next_revision = max(self.next_revision, at + 1)
        return ""

    def _events_fault(self, reply: Reply) -> str:
        events = reply.events
        revisions = [event.kv.mod_revision for event in events]
        last = max(revisions)
        if last > self.replay.last:
            return f"revision {last} was told, but the last one is {self.replay.last}"
        if revisions != sorted(revisions):
            return f"reordered: revisions {revisions}"
        if revisions[0] < self.next_revision:
            return f"repeated: revision {revisions[0]} again, or before its start; {self.next_revision} was next"
        if reply.revision < last:
            return f"the header says {reply.revision}, the newest event {last}"
        if reply.at_s < self.replay.begun_s(last):
            return f"revision {last} was told before its write was begun"
        expected = list(self._expected(self.next_revision, last))
        if [_bare(event) for event in events] != [_bare(event) for event in expected]:
            return _difference(events, expected)
        for event, original in zip(events, expected, strict=True):
            # A previous value that compaction has taken may be missing, but not be wrong.
            if event.previous is not None and not self.watch.has_previous:
                return f"a previous value at revision {event.kv.mod_revision}, which nobody asked for"
            if event.previous is not None and event.previous != original.previous:
                return f"previous value at revision {event.kv.mod_revision}: {event.previous}, not {original.previous}"
        self.next_revision = last + 1
        return ""

    def _expected(self, first: int, last: int) -> Iterator[Event]:
        watch = self.watch
        for revision in range(max(first, 2), last + 1):
            for event in self.replay.events(revision):
                if in_range(event.kv.key, watch.key, watch.end) and event.kind not in watch.without:
                    yield event


def _bare(event: Event) -> Event:
    return Event(event.kind, event.kv)


def _difference(actual: tuple[Event, ...], expected: list[Event]) -> str:
    told, due = {_bare(event) for event in actual}, {_bare(event) for event in expected}
    if len(told) < len(actual):
        return "repeated: an event twice in one message"
    if skipped := sorted(event.kv.mod_revision for event in due - told):
        text = f"skipped: events of revisions {skipped[:5]}"
        return text + (" (one revision in part: not atomic)" if skipped[-1] == actual[-1].kv.mod_revision else "")
    if invented := sorted(event.kv.mod_revision for event in told - due):
        return f"events at revisions {invented[:5]} that did not happen so"
    return "reordered: the events of a revision"
