"""The checker by itself: what it accepts, and what it must not."""

import random

import msgspec
import pytest
from click.testing import CliRunner

from minik8s.cli.verify import command
from minik8s.store.verify.history import (
    Answer,
    BadHistory,
    Call,
    Compact,
    Compare,
    Delete,
    Deleted,
    EpisodeEnd,
    Grant,
    Hash,
    KeyValue,
    Put,
    Range,
    Ranged,
    Reply,
    Request,
    Revoke,
    Txn,
    Watch,
    Written,
    read,
    write_line,
)
from minik8s.store.verify.linearize import linearize
from minik8s.store.verify.model import COMPACTED, FUTURE, LEASE_NOT_FOUND, State, step
from minik8s.store.verify.report import verify

ALL = ("\0", "\0")
PUT_1 = Answer(2, (Written(),))
A1 = KeyValue("a", "1", 2, 2, 1)


def call(request: Request, answer: Answer | None, begin_s: float, end_s: float) -> Call:
    return Call(1, "s0", begin_s, end_s, request, answer)


def ranged(revision: int, *kvs: KeyValue) -> Answer:
    return Answer(revision, (Ranged(kvs),))


@pytest.mark.parametrize(
    "calls, expected",
    [
        pytest.param([call(Put("a", "1"), PUT_1, 0, 1), call(Range("a"), ranged(2, A1), 2, 3)], True, id="in sequence"),
        pytest.param([call(Put("a", "1"), PUT_1, 0, 1), call(Range("a"), ranged(1), 2, 3)], False, id="stale read"),
        pytest.param([call(Put("a", "1"), PUT_1, 0, 3), call(Range("a"), ranged(1), 1, 2)], True, id="concurrent read"),
        pytest.param([call(Range("a"), ranged(2, A1), 0, 1), call(Put("a", "1"), PUT_1, 2, 3)], False, id="foreseen"),
        pytest.param([call(Put("a", "1"), None, 0, 1), call(Range("a"), ranged(2, A1), 2, 3)], True, id="it happened"),
        pytest.param([call(Put("a", "1"), None, 0, 1), call(Range("a"), ranged(1), 2, 3)], True, id="it did not"),
        pytest.param(
            [
                call(Put("a", "1"), None, 0, 1),
                call(Range("a"), ranged(2, A1), 2, 3),
                call(Range("a"), ranged(1), 4, 5),
            ],
            False,
            id="it happened and was undone",
        ),
        pytest.param(
            [
                call(Put("a", "1"), None, 0, 1),
                call(Range("a"), ranged(1), 2, 3),
                call(Range("a"), ranged(2, A1), 4, 5),
            ],
            True,
            id="it happened late",
        ),
        pytest.param(
            [call(Put("a", "1"), PUT_1, 0, 1), call(Put("b", "2"), PUT_1, 0, 1)], False, id="one revision twice"
        ),
        pytest.param([call(Put("a", "1"), Answer(3, (Written(),)), 0, 1)], False, id="a revision nobody made"),
        pytest.param([call(Put("a", "1", 7), Answer(error=LEASE_NOT_FOUND), 0, 1)], True, id="no such lease"),
        pytest.param(
            [call(Grant(7), Answer(1), 0, 1), call(Put("a", "1", 7), Answer(error=LEASE_NOT_FOUND), 2, 3)],
            False,
            id="a granted lease forgotten",
        ),
        pytest.param(
            [call(Put("a", "1"), PUT_1, 0, 1), call(Delete("a"), Answer(2, (Deleted(0),)), 2, 3)],
            False,
            id="a deletion that misses",
        ),
    ],
)
def test_an_order_is_found_exactly_where_there_is_one(calls, expected):
    assert linearize(calls, State()).is_linearizable is expected


def test_what_nobody_can_tell_is_left_open():
    """An unknown grant that explains nothing is not taken for done: a later episode may tell."""
    calls = [
        Call(1, "s", 0.0, 0.1, Grant(3)),
        Call(2, "s", 0.1, 0.2, Put("a", "1")),
        Call(3, "s", 0.3, 0.4, Range("a"), Answer(2, (Ranged((A1,)),))),
    ]
    outcome = linearize(calls, State())
    assert outcome.is_linearizable
    assert [placed.call.client for placed in outcome.order] == [2, 3]
    assert [call.client for call in outcome.left] == [1]
    later = [*outcome.left, Call(4, "s", 0.5, 0.6, Grant(3), Answer(2))]
    assert linearize(later, outcome.state).is_linearizable


def test_the_model_answers_as_etcd():
    state = State()
    for request, answer in [
        (Txn((Compare("a", "mod", 0),), (Put("a", "1"), Range("a")), ()), Answer(2, (Written(), Ranged((A1,))), True)),
        (Txn((Compare("b", "value", "x", "not_equal"),), (), (Range("b"),)), Answer(2, (Ranged(()),), False)),
        (Grant(5), Answer(2)),
        (Put("b", "2", 5), Answer(3, (Written(),))),
        (Range("a", revision=4), Answer(error=FUTURE)),
        (Compact(3), Answer(3)),
        (Range("a", revision=2), Answer(error=COMPACTED)),
        (Revoke(5), Answer(4)),
        (Range(*ALL), Answer(4, (Ranged((A1,)),))),
        (Delete("z"), Answer(4, (Deleted(0),))),
        (Delete(*ALL), Answer(5, (Deleted(1),))),
    ]:
        taken = step(state, request)
        assert taken.answer == answer, request
        state = taken.state


def history(seed: int, *, count: int = 300, episode: int = 100) -> list:
    """What clients of a faultless store may have seen: calls that overlap, some answers lost, and two watches."""
    rng = random.Random(seed)
    state, now_s, replies, records = State(), 0.0, [Reply(0.0, 1, is_created=True)], []
    for number in range(1, count + 1):
        key = rng.choice("abcd")
        request: Request = rng.choice(
            [
                Put(key, str(number)),
                Put(key, str(number)),
                Delete(key),
                Range(*ALL),
                Range(key, serializable=True),
                Txn((Compare(key, "version", 0),), (Put(key, str(number)),), (Range(key), Delete(key))),
            ]
        )
        if not number % episode:
            request = Put("guard", str(number))
        taken = step(state, request)
        state, now_s = taken.state, now_s + 1
        is_lost = rng.random() < 0.05 and number % episode and not isinstance(request, Range)
        # A call takes effect at `now_s`; it began up to two others before, and ended up to two after.
        before, after = (rng.uniform(0, 2), rng.uniform(0, 2)) if number % episode else (0.1, 0.1)
        begin_s, end_s = now_s - before, now_s + after
        if number % episode in (1, 2, episode - 1, episode - 2):
            begin_s, end_s = now_s - 0.1, now_s + 0.1
        records.append(Call(number % 3, "s0", begin_s, end_s, request, None if is_lost else taken.answer))
        if taken.events:
            replies.append(Reply(now_s, state.revision, taken.events))
        if not number % 10:
            replies.append(Reply(now_s, state.revision))
        if not number % episode:
            records.append(EpisodeEnd(number))
    records.append(Watch(1, "s0", *ALL, start_revision=1, has_previous=True, replies=tuple(replies)))
    records.append(Watch(2, "s1", *ALL, start_revision=1, has_previous=True, replies=tuple(replies)))
    return records + [Hash(name, state.revision, -1, 7) for name in ("s0", "s1")]


@pytest.mark.parametrize("seed", range(20))
def test_a_faultless_history_is_accepted_in_any_overlap_of_its_calls(seed):
    report = verify(history(seed))
    assert report.is_good, report.violations
    assert report.episodes == 3 and report.acked > 50 and report.unknown


def spoiled(records: list, change) -> list:
    """With one watch's messages changed."""
    watch = next(record for record in records if isinstance(record, Watch))
    place = records.index(watch)
    return [
        *records[:place],
        msgspec.structs.replace(watch, replies=tuple(change(list(watch.replies)))),
        *records[place + 1 :],
    ]


def with_events(replies: list[Reply]) -> list[int]:
    return [place for place, reply in enumerate(replies) if reply.events]


def skip(replies: list[Reply]) -> list[Reply]:
    del replies[with_events(replies)[5]]
    return replies


def repeat(replies: list[Reply]) -> list[Reply]:
    place = with_events(replies)[5]
    return replies[: place + 1] + replies[place:]


def reorder(replies: list[Reply]) -> list[Reply]:
    one, two = with_events(replies)[5:7]
    replies[one], replies[two] = replies[two], replies[one]
    return replies


def reorder_within(replies: list[Reply]) -> list[Reply]:
    one, two = with_events(replies)[5:7]
    both = msgspec.structs.replace(replies[two], events=replies[two].events + replies[one].events)
    return [*replies[:one], both, *replies[two + 1 :]]


def split(replies: list[Reply]) -> list[Reply]:
    """One revision in two messages."""
    place = next(place for place, reply in enumerate(replies) if reply.events)
    events = replies[place].events
    replies[place : place + 1] = [msgspec.structs.replace(replies[place], events=events)] * 2
    return replies


def hurry(replies: list[Reply]) -> list[Reply]:
    """Progress ahead of the events."""
    place = with_events(replies)[5]
    replies.insert(place, Reply(replies[place].at_s, replies[place].revision))
    return replies


def forget(replies: list[Reply]) -> list[Reply]:
    """A wrong previous value."""
    place = next(place for place, reply in enumerate(replies) if reply.events and reply.events[0].previous)
    wrong = msgspec.structs.replace(replies[place].events[0], previous=KeyValue("a", "wrong", 2, 2, 1))
    replies[place] = msgspec.structs.replace(replies[place], events=(wrong, *replies[place].events[1:]))
    return replies


@pytest.mark.parametrize(
    "change, words",
    [
        (skip, "skipped"),
        (repeat, "repeated"),
        (reorder, "skipped"),
        (reorder_within, "reordered"),
        (split, "repeated"),
        (hurry, "skipped"),
        (forget, "previous value"),
    ],
)
def test_what_a_watch_may_not_do_is_named(change, words):
    report = verify(spoiled(history(1), change))
    assert report.is_linearizable and not report.is_good
    assert len(report.violations) == 1 and words in report.violations[0]


def test_an_acknowledged_write_that_no_watch_shows_is_counted_as_lost():
    records = history(1)
    lost = next(record for record in records if isinstance(record, Call) and isinstance(record.request, Put))
    records[records.index(lost)] = msgspec.structs.replace(lost, request=Put(lost.request.key, "never"))
    report = verify(records)
    assert report.lost == 1 and not report.is_good


def test_members_that_hash_differently_are_named():
    report = verify(
        [*history(1), Hash("s2", verify(history(1)).events, 0, 1), Hash("s3", 9, 3, 1), Hash("s4", 9, 3, 2)]
    )
    assert [violation for violation in report.violations if "hash" in violation]


def test_a_read_of_one_member_must_be_some_state_that_was():
    records = history(1)
    place, old = next(
        (place, record)
        for place, record in enumerate(records)
        if isinstance(record, Call) and isinstance(record.request, Range) and record.request.serializable
    )
    records[place] = msgspec.structs.replace(
        old, answer=ranged(old.answer.revision, KeyValue(old.request.key, "no", 2, 2, 1))
    )
    assert not verify(records).is_good


def test_a_refused_write_that_happened_is_found():
    refused = msgspec.structs.replace(call(Put("a", "1"), None, 0, 1), refused="etcdserver: no leader")
    assert not verify([refused, call(Range("a"), ranged(2, A1), 2, 3)]).is_good


def test_a_history_survives_its_file():
    records = history(3)
    assert list(read(write_line(record) for record in records)) == records


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"type": "call"}', b'{"type": "nothing"}', b"\xff\n", b'"x"'])
def test_what_is_no_history_is_named_by_its_line(line):
    with pytest.raises(BadHistory, match="line 2"):
        list(read([write_line(EpisodeEnd(1)), line]))


def test_the_command_says_yes_or_no_by_its_exit_code(tmp_path):
    good, bad, other = tmp_path / "good", tmp_path / "bad", tmp_path / "other"
    good.write_bytes(b"".join(write_line(record) for record in history(1)))
    bad.write_bytes(b"".join(write_line(record) for record in spoiled(history(1), skip)))
    other.write_text("hello\n")
    runner = CliRunner()
    assert "linearizable: yes" in (found := runner.invoke(command, [str(good)])).output and found.exit_code == 0
    assert "skipped" in (found := runner.invoke(command, [str(bad)])).output and found.exit_code == 1
    assert '"violations": 1' in runner.invoke(command, [str(bad), "--json"]).output
    assert runner.invoke(command, [str(other)]).exit_code == 2
