"""Watch streams over a history: order, completeness, progress, compaction, slow clients."""

import asyncio
import random

import pytest

from minik8s.store import encoding
from minik8s.store.errors import NO_LEADER, EtcdError
from minik8s.store.mvcc import Mvcc
from minik8s.store.watch import WatchHub
from minik8s.store.watch_stream import WatchStream
from minik8s.wire.etcd import rpc_pb2 as rpc


class World:
    """A history, its hub, and one stream, read without waiting."""

    def __init__(self, fragment_bytes: int = 1 << 20) -> None:
        self.mvcc = Mvcc()
        self.hub = WatchHub(self.mvcc)
        self.stream = self.open(fragment_bytes)

    def open(self, fragment_bytes: int = 1 << 20) -> WatchStream:
        header = lambda revision: encoding.message(1, encoding.integer(3, revision))  # noqa: E731
        return WatchStream(self.hub, header, fragment_bytes=fragment_bytes)

    def put(self, *keys: str, value: str = "v") -> None:
        """All keys in one revision."""
        for key in keys:
            self.mvcc.put(key.encode(), value.encode(), 0)
        self.commit()

    def delete(self, key: str) -> None:
        self.mvcc.delete(key.encode())
        self.commit()

    def commit(self) -> None:
        assert self.mvcc.commit()
        self.hub.revision_committed(self.mvcc.revision)

    def watch(self, key: str = "a", end: str = "", stream: WatchStream | None = None, **options) -> None:
        request = rpc.WatchCreateRequest(key=key.encode(), range_end=end.encode(), **options)
        (stream or self.stream).create(request)

    def take(self, stream: WatchStream | None = None) -> list[rpc.WatchResponse]:
        return [rpc.WatchResponse.FromString(response) for response in (stream or self.stream).take()]


def events(responses) -> list[tuple[str, str, int]]:
    return [
        ("delete" if event.type else "put", event.kv.key.decode(), event.kv.mod_revision)
        for response in responses
        for event in response.events
    ]


def test_created_comes_first_and_events_follow_in_order():
    world = World()
    world.put("a")
    world.watch()
    world.put("a")
    world.put("b")
    world.delete("a")
    created, batch = world.take()
    assert (created.created, created.watch_id, created.header.revision) == (True, 0, 2)
    assert events([batch]) == [("put", "a", 3), ("delete", "a", 5)]
    assert world.take() == []


@pytest.mark.parametrize(
    ("start", "expected"), [(1, [2, 3, 4, 5]), (3, [3, 4, 5]), (5, [5]), (0, [5]), (4, [4, 5]), (6, [])]
)
def test_a_watch_starts_where_it_is_asked_to(start, expected):
    world = World()
    for _ in range(3):
        world.put("a")
    world.watch(start_revision=start)
    world.put("a")
    assert [revision for _, _, revision in events(world.take())] == expected


def test_a_watch_from_the_future_sleeps_until_then():
    world = World()
    world.watch(start_revision=4)
    world.take()
    world.put("a")
    world.put("a")
    assert world.take() == []
    world.put("a")
    assert events(world.take()) == [("put", "a", 4)]


def test_all_events_of_a_revision_come_in_one_response():
    world = World()
    world.watch("a", "z")
    world.take()
    world.put("a", "b", "c")
    assert [len(response.events) for response in world.take()] == [3]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], ["put", "delete"]),
        ([rpc.WatchCreateRequest.NOPUT], ["delete"]),
        ([rpc.WatchCreateRequest.NODELETE], ["put"]),
        ([rpc.WatchCreateRequest.NOPUT, rpc.WatchCreateRequest.NODELETE], []),
    ],
)
def test_filters_leave_out_events_and_send_no_empty_response(filters, expected):
    world = World()
    world.watch(filters=filters)
    world.take()
    world.put("a")
    world.delete("a")
    responses = world.take()
    assert [kind for kind, _, _ in events(responses)] == expected
    assert all(response.events for response in responses)


def test_prev_kv_is_what_was_there_before():
    world = World()
    world.watch(prev_kv=True)
    world.put("a", value="1")
    world.put("a", value="2")
    world.delete("a")
    _, batch = world.take()
    assert [event.prev_kv.value for event in batch.events] == [b"", b"1", b"2"]
    assert not batch.events[0].HasField("prev_kv")
    assert batch.events[2].kv.value == b""


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"key": "b", "end": "a"}, "mvcc: watcher range is empty"),
        ({"key": "b", "end": "b"}, "mvcc: watcher range is empty"),
        ({"start_revision": -1}, "etcdserver: mvcc: required revision has been compacted"),
        ({"watch_id": 5}, "mvcc: duplicate watch ID provided on the WatchStream"),
    ],
)
def test_a_refused_watch_is_created_and_cancelled_at_once(request_, reason):
    world = World()
    world.watch(watch_id=5)
    world.take()
    world.watch(**request_)
    (refusal,) = world.take()
    assert (refusal.created, refusal.canceled, refusal.watch_id) == (True, True, -1)
    assert refusal.cancel_reason == reason


def test_ids_are_counted_and_skip_those_given():
    world = World()
    world.watch(watch_id=1)
    for _ in range(3):
        world.watch()
    assert [response.watch_id for response in world.take()] == [1, 0, 2, 3]


def test_a_cancelled_watch_is_silent_after_the_answer():
    world = World()
    world.watch()
    world.put("a")
    world.stream.cancel(0)
    world.put("a")
    assert [response.canceled for response in world.take()] == [False, True]
    world.stream.cancel(7)
    assert world.take() == []
    assert world.hub.watcher_count == 0


@pytest.mark.parametrize(("start", "is_compacted"), [(2, True), (3, True), (4, False), (5, False)])
def test_a_watch_from_below_the_compact_revision_is_told_so(start, is_compacted):
    world = World()
    for _ in range(4):
        world.put("a")
    world.mvcc.compact(4)
    world.watch(start_revision=start)
    created, *rest = world.take()
    assert created.created
    assert [(response.canceled, response.compact_revision) for response in rest if response.canceled] == (
        [(True, 4)] if is_compacted else []
    )


def test_a_watcher_that_compaction_overtakes_is_cancelled_and_others_are_not():
    world = World()
    world.watch("a")
    world.watch("b")
    world.take()
    world.put("a")
    world.put("c")
    world.put("c")
    world.mvcc.compact(4)
    (cancelled,) = world.take()
    assert (cancelled.watch_id, cancelled.compact_revision) == (0, 4)
    world.put("b")
    assert events(world.take()) == [("put", "b", 5)], "nothing was compacted that the second wanted"


def test_progress_comes_after_all_events_up_to_it():
    world = World()
    world.watch()
    world.take()
    world.put("a")
    world.put("b")
    world.stream.request_progress()
    batch, progress = world.take()
    assert events([batch]) == [("put", "a", 2)]
    assert (progress.watch_id, len(progress.events), progress.header.revision) == (-1, 0, 3)
    assert world.take() == []


def test_progress_waits_for_a_watch_from_the_future():
    world = World()
    world.watch(start_revision=4)
    world.take()
    world.stream.request_progress()
    assert world.take() == []
    world.put("b")
    assert world.take() == []
    world.put("b")
    (progress,) = world.take()
    assert (progress.watch_id, progress.header.revision) == (-1, 3)


def test_idle_watchers_that_asked_are_notified_at_the_second_tick():
    world = World()
    world.watch("a", progress_notify=True)
    world.watch("b")
    world.take()
    world.stream.tick()
    world.put("a")
    world.stream.tick()
    assert [len(response.events) for response in world.take()] == [1]
    world.put("c")
    world.stream.tick()
    world.stream.tick()
    (progress,) = world.take()
    assert (progress.watch_id, progress.header.revision, len(progress.events)) == (0, 3, 0)


def test_a_slow_client_gets_everything_and_holds_up_no_one():
    world = World()
    other = world.open()
    world.watch("a")
    world.watch("a", stream=other)
    world.take(), world.take(other)
    seen = []
    for _ in range(2500):
        world.put("a")
        seen += events(world.take(other))
    assert [revision for _, _, revision in seen] == list(range(2, 2502))
    late = []
    while batch := world.take():
        assert all(len(response.events) <= 1000 for response in batch)
        late += events(batch)
    assert late == seen


def test_large_responses_are_cut_between_revisions():
    world = World()
    world.watch("a")
    world.take()
    for _ in range(5):
        world.put("a", value="x" * 600_000)
    sizes = [len(response.events) for _ in range(3) for response in world.take()]
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(("fragment", "sizes"), [(True, [2, 2, 1]), (False, [5])])
def test_one_large_revision_is_cut_only_for_who_asked(fragment, sizes):
    world = World(fragment_bytes=2500)
    world.watch("a", "z", fragment=fragment)
    world.take()
    world.put("a", "b", "c", "d", "e", value="x" * 1000)
    responses = world.take()
    assert [len(response.events) for response in responses] == sizes
    assert [response.fragment for response in responses] == [True] * (len(sizes) - 1) + [False]


@pytest.mark.parametrize("seed", range(10))
def test_streams_equal_the_replay_of_history_whatever_the_timing(seed):
    rng = random.Random(seed)
    world = World()
    streams = [world.open() for _ in range(3)]
    wanted: dict[tuple[int, int], tuple[str, str, int]] = {}
    seen: dict[tuple[int, int], list[int]] = {}
    for index, stream in enumerate(streams):
        for watch_id in range(1, 4):
            key = rng.choice("abc")
            end = rng.choice(["", "c", "z"])
            if end and key >= end:
                end = ""
            world.watch(key, end, stream=stream, start_revision=rng.randint(1, 30), watch_id=watch_id)
            wanted[index, watch_id] = key, end, 0
            seen[index, watch_id] = []
    starts = {}
    for index, stream in enumerate(streams):
        for watch_id, watcher in stream._watchers.items():
            starts[index, watch_id] = watcher.next_revision
    history = []

    def drain(index: int) -> None:
        for response in world.take(streams[index]):
            if response.events:
                seen[index, response.watch_id] += [
                    (event.kv.key.decode(), event.kv.mod_revision) for event in response.events
                ]

    for _ in range(200):
        keys = rng.sample("abcd", rng.choice([1, 1, 2]))
        world.put(*keys)
        history += [(key, world.mvcc.revision) for key in keys]
        if rng.random() < 0.3:
            drain(rng.randrange(3))
    for index in range(3):
        drain(index)
    for place, (key, end, _) in wanted.items():
        expected = [
            (k, revision)
            for k, revision in history
            if revision >= starts[place] and (key <= k < end if end else k == key)
        ]
        assert seen[place] == expected


def test_the_iterator_waits_ends_and_fails():
    async def main() -> None:
        world = World()
        world.watch()
        assert rpc.WatchResponse.FromString(await anext(world.stream)).created
        reader = asyncio.ensure_future(anext(world.stream))
        await asyncio.sleep(0)
        assert not reader.done()
        world.put("a")
        assert events([rpc.WatchResponse.FromString(await reader)]) == [("put", "a", 2)]
        reader = asyncio.ensure_future(anext(world.stream))
        await asyncio.sleep(0)
        world.stream.close()
        with pytest.raises(StopAsyncIteration):
            await reader
        failing = world.open()
        failing.fail(EtcdError(NO_LEADER))
        with pytest.raises(EtcdError):
            await anext(failing)

    asyncio.run(main())


def test_replies_left_unread_hold_up_further_requests():
    async def main() -> None:
        world = World()
        for _ in range(128):
            world.watch()
        assert world.stream.is_full
        waiting = asyncio.ensure_future(world.stream.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        world.take()
        await asyncio.wait_for(waiting, 1)

    asyncio.run(main())
