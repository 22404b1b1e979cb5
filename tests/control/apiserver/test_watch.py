"""Watches and lists over the cache: what is seen, in which order, and what happens when history or queues end."""

import asyncio
import base64
import json
from dataclasses import replace

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import MERGE_PATCH, Request
from minik8s.control.apiserver import watchers
from minik8s.control.apiserver.core import CoreConfig
from minik8s.control.apiserver.watchcache import WatchCacheConfig
from minik8s.wire.etcd import rpc_pb2 as rpc

from .faults import CuttableStore
from .harness import ADMIN, local_api, local_core, local_store, scenario


class Client:
    """ConfigMaps of the namespace default, as bare requests."""

    def __init__(self, api) -> None:
        self.handler = api.as_user(ADMIN)

    def request(self, verb, name="", body=None, **query):
        encoded = json.dumps(body).encode() if body is not None else b""
        content_type = MERGE_PATCH if verb == "patch" else "application/json"
        return Request(verb, "", "v1", "configmaps", "default", name, "", query, encoded, content_type)

    async def call(self, verb, name="", body=None, **query):
        return json.loads((await self.handler.call(self.request(verb, name, body, **query))).body)

    async def create(self, name, **labels):
        return await self.call("create", body={"metadata": {"name": name, "labels": labels}})

    async def label(self, name, **labels):
        return await self.call("patch", name, {"metadata": {"labels": labels}})

    async def watch(self, **query):
        return await self.handler.watch(self.request("watch", **query))

    async def revision(self):
        return (await self.call("list"))["metadata"]["resourceVersion"]


async def take(stream, count):
    """The next `count` events as (type, name, revision)."""
    events = []
    async for event in stream:
        events.append((event.type, json.loads(event.object)["metadata"].get("name"), event.revision))
        if len(events) == count:
            break
    return events


@scenario
async def test_a_watch_sees_every_change_once_and_in_order():
    async with local_api() as api:
        client = Client(api)
        start = await client.revision()
        live = await client.watch(resourceVersion=start)
        await client.create("a")
        await client.label("a", x="1")
        await client.call("delete", "a")
        expected = [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        seen = await take(live, 3)
        assert [event[:2] for event in seen] == expected
        assert [event[2] for event in seen] == [int(start) + 1, int(start) + 2, int(start) + 3]
        resumed = await take(await client.watch(resourceVersion=str(seen[0][2])), 2)
        assert resumed == seen[1:]


@scenario
async def test_what_starts_or_stops_matching_is_added_or_deleted():
    async with local_api() as api:
        client = Client(api)
        stream = await client.watch(resourceVersion=await client.revision(), labelSelector="x=1")
        await client.create("a")
        await client.label("a", x="1")
        await client.label("a", y="2")
        await client.label("a", x="2")
        await client.call("delete", "a")
        await client.create("b", x="1")
        seen = await take(stream, 4)
        assert [event[:2] for event in seen] == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]


@scenario
async def test_a_deletion_carries_the_last_state_and_its_own_revision():
    async with local_api() as api:
        client = Client(api)
        created = await client.create("a", x="1")
        stream = await client.watch(resourceVersion=created["metadata"]["resourceVersion"])
        await client.call("delete", "a")
        async for event in stream:
            document = json.loads(event.object)
            break
        assert document["metadata"]["labels"] == {"x": "1"}
        assert document["metadata"]["resourceVersion"] == str(event.revision)
        assert event.revision > int(created["metadata"]["resourceVersion"])


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}], ids=["no revision", "any revision"])
@scenario
async def test_a_watch_from_nowhere_starts_with_what_there_is(query):
    async with local_api() as api:
        client = Client(api)
        await client.create("b")
        await client.create("a")
        await client.revision()
        stream = await client.watch(**query)
        await client.create("c")
        assert [event[:2] for event in await take(stream, 3)] == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]


@scenario
async def test_a_watch_list_ends_its_beginning_with_an_annotated_bookmark():
    async with local_api() as api:
        client = Client(api)
        await client.create("a")
        stream = await client.watch(
            sendInitialEvents="true", allowWatchBookmarks="true", resourceVersionMatch="NotOlderThan"
        )
        events = []
        async for event in stream:
            events.append((event.type, json.loads(event.object)["metadata"].get("annotations")))
            if event.type == "BOOKMARK":
                break
        assert events == [("ADDED", None), ("BOOKMARK", {"k8s.io/initial-events-end": "true"})]


@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"sendInitialEvents": "false"},
        {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
        {"resourceVersionMatch": "NotOlderThan"},
    ],
    ids=["without match", "without match, declined", "wrong match", "match alone"],
)
@scenario
async def test_a_watch_list_that_is_half_asked_for_is_refused(query):
    async with local_api() as api:
        with pytest.raises(StatusError) as caught:
            await Client(api).watch(**query)
        assert caught.value.code == 422


@scenario
async def test_progress_is_a_bookmark_at_the_newest_revision_of_any_kind():
    async with local_api() as api:
        client = Client(api)
        stream = await client.watch(resourceVersion=await client.revision())
        other = Request("create", "", "v1", "namespaces", body=b'{"metadata":{"name":"n"}}')
        newest = (await client.handler.call(other)).revision
        await stream.request_progress()
        assert await take(stream, 1) == [("BOOKMARK", None, newest)]


@scenario
async def test_a_watch_ends_after_its_timeout_with_a_bookmark():
    async with local_api() as api:
        client = Client(api)
        stream = await client.watch(resourceVersion=await client.revision(), allowWatchBookmarks="true")
        stream.end_after(0.01)
        assert [event.type async for event in stream] == ["BOOKMARK"]


@scenario
async def test_a_watch_may_be_asked_to_last_for_ever():
    async with local_api() as api:
        stream = await Client(api).watch(timeoutSeconds="999999999999999999")
        await stream.close()


@scenario
async def test_bookmarks_come_by_themselves_to_who_wants_them():
    config = CoreConfig(watch_cache=WatchCacheConfig(bookmark_interval_s=0.02))
    async with local_api(config=config) as api:
        client = Client(api)
        revision = await client.revision()
        wants = await client.watch(resourceVersion=revision, allowWatchBookmarks="true")
        does_not = await client.watch(resourceVersion=revision)
        assert (await take(wants, 1))[0][0] == "BOOKMARK"
        await client.create("a")
        assert (await take(does_not, 1))[0][0] == "ADDED"


@scenario
async def test_a_watch_from_before_the_caches_history_is_served_from_the_stores():
    config = CoreConfig(watch_cache=WatchCacheConfig(history_changes=2))
    async with local_api(config=config) as api:
        client = Client(api)
        await client.create("z")
        start = await client.revision()
        for name in "abc":
            await client.create(name, x="1")
        await client.label("a", x="2")
        await client.call("delete", "z")
        await client.create("d")
        everything = await take(await client.watch(resourceVersion=start), 6)
        assert [event[:2] for event in everything] == [
            ("ADDED", "a"),
            ("ADDED", "b"),
            ("ADDED", "c"),
            ("MODIFIED", "a"),
            ("DELETED", "z"),
            ("ADDED", "d"),
        ]
        assert [event[2] for event in everything] == sorted(event[2] for event in everything)
        selected = await take(await client.watch(resourceVersion=start, labelSelector="x=1"), 4)
        assert [event[:2] for event in selected] == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c"), ("DELETED", "a")]


@scenario
async def test_a_restarted_apiserver_lets_watches_resume():
    async with local_store() as store:
        async with local_core(store=store) as before:
            client = Client(before.api)
            start = await client.revision()
            await client.create("a")
            await client.call("delete", "a")
        async with local_core(store=store, seed=2) as after:
            client = Client(after.api)
            stream = await client.watch(resourceVersion=start)
            await client.create("b")
            assert [event[:2] for event in await take(stream, 3)] == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "b")]
            quiet = Request("watch", "", "v1", "secrets", "default", query={"resourceVersion": start})
            assert await client.handler.watch(quiet)


@scenario
async def test_a_watch_from_before_all_history_is_told_to_list_again():
    async with local_store() as store:
        async with local_core(store=store) as before:
            client = Client(before.api)
            start = await client.revision()
            await client.create("a")
            newest = await client.create("b")
            await store.compact(rpc.CompactionRequest(revision=int(newest["metadata"]["resourceVersion"])))
        async with local_core(store=store, seed=2) as after:
            with pytest.raises(StatusError, match="too old resource version") as caught:
                await Client(after.api).watch(resourceVersion=start)
            assert (caught.value.reason, caught.value.code) == ("Expired", 410)


@scenario
async def test_a_revision_of_the_future_is_waited_for_and_then_refused(monkeypatch):
    monkeypatch.setattr("minik8s.control.apiserver.reads._TOO_LARGE_TIMEOUT_S", 0.05)
    async with local_api() as api:
        client = Client(api)
        for verb in (client.watch, lambda **query: client.call("list", **query)):
            with pytest.raises(StatusError, match="Too large resource version: 999") as caught:
                await verb(resourceVersion="999")
            assert (caught.value.reason, caught.value.retry_after_s) == ("Timeout", 1)


@scenario
async def test_a_watcher_that_is_too_slow_is_ended_and_can_resume(monkeypatch):
    monkeypatch.setattr(watchers, "QUEUE_CHANGES", 3)
    async with local_api() as api:
        client = Client(api)
        stream = await client.watch(resourceVersion=await client.revision())
        for number in range(6):
            await client.create(f"c{number}")
        await client.revision()
        seen = [json.loads(event.object)["metadata"]["name"] async for event in stream]
        assert seen == ["c0", "c1", "c2"]
        last = (await client.call("get", "c2"))["metadata"]["resourceVersion"]
        resumed = await client.watch(resourceVersion=last)
        assert [event[1] for event in await take(resumed, 3)] == ["c3", "c4", "c5"]


@scenario
async def test_two_apiservers_are_one_api():
    async with local_store() as store, local_core(store=store) as one, local_core(store=store, seed=2) as two:
        first, second = Client(one.api), Client(two.api)
        stream = await second.watch(resourceVersion=await second.revision())
        created = await first.create("a")
        assert (await second.call("list"))["items"] == [created]
        assert (await take(stream, 1))[0][:2] == ("ADDED", "a")


@scenario
async def test_a_broken_watch_of_the_store_goes_on_where_it_was():
    async with local_store() as store:
        cuttable = CuttableStore(store)
        async with local_core(store=cuttable) as core, local_core(store=store, seed=3) as other:
            client, elsewhere = Client(core.api), Client(other.api)
            stream = await client.watch(resourceVersion=await client.revision())
            await client.create("a")
            cuttable.cut()
            await elsewhere.create("b")
            await elsewhere.call("delete", "a")
            cuttable.mend()
            assert [event[:2] for event in await take(stream, 3)] == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


@scenario
async def test_compaction_beyond_the_cache_ends_watches_with_410_and_the_cache_recovers():
    async with local_store() as store:
        cuttable = CuttableStore(store)
        async with local_core(store=cuttable) as core, local_core(store=store, seed=3) as other:
            client, elsewhere = Client(core.api), Client(other.api)
            await client.create("a")
            stream = await client.watch(resourceVersion=await client.revision())
            cuttable.cut()
            await elsewhere.call("delete", "a")
            newest = (await elsewhere.create("b"))["metadata"]["resourceVersion"]
            await store.compact(rpc.CompactionRequest(revision=int(newest)))
            cuttable.mend()
            with pytest.raises(StatusError) as caught:
                await take(stream, 1)
            assert caught.value.reason == "Expired"
            assert [item["metadata"]["name"] for item in (await client.call("list"))["items"]] == ["b"]
            again = await client.watch(resourceVersion=newest)
            await client.create("c")
            assert (await take(again, 1))[0][:2] == ("ADDED", "c")


@scenario
async def test_a_list_is_right_although_the_store_does_not_tell_progress():
    async with local_store() as store, local_core(store=store) as core:
        core.cache.is_progress_sound = False
        client = Client(core.api)
        await client.create("a")
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=b"/elsewhere", value=b""))
        newest = (await store.txn(rpc.TxnRequest(success=[put]))).header.revision
        listed = await client.call("list")
        assert listed["metadata"]["resourceVersion"] == str(newest)
        assert [item["metadata"]["name"] for item in listed["items"]] == ["a"]


@scenario
async def test_rounds_of_compaction_keep_the_cache_at_the_stores_revision():
    config = CoreConfig(compaction_interval_s=0.02)
    async with local_core(config=config) as core:
        core.cache.is_progress_sound = False
        client = Client(core.api)
        start = int(await client.revision())
        while int(await client.revision()) < start + 3:
            await asyncio.sleep(0.005)
        assert [item["metadata"]["name"] for item in (await client.call("list"))["items"]] == []
        await client.create("a")
        with pytest.raises(StatusError):
            await client.call("list", resourceVersion=str(start), resourceVersionMatch="Exact")


LIST_NAMES = ["a", "b", "c", "d", "e"]


@scenario
async def test_a_list_comes_in_pages_of_one_revision():
    async with local_api() as api:
        client = Client(api)
        for name in LIST_NAMES:
            await client.create(name, odd=str(LIST_NAMES.index(name) % 2))
        page = await client.call("list", limit="2")
        revision, seen, remaining = page["metadata"]["resourceVersion"], [], []
        await client.create("c2")
        while True:
            seen += [item["metadata"]["name"] for item in page["items"]]
            remaining.append(page["metadata"].get("remainingItemCount"))
            assert page["metadata"]["resourceVersion"] == revision
            if not (token := page["metadata"].get("continue")):
                break
            page = await client.call("list", limit="2", **{"continue": token})
        assert (seen, remaining) == (LIST_NAMES, [3, 1, None])


@scenario
async def test_pages_of_a_selection_hold_what_it_selects():
    async with local_api() as api:
        client = Client(api)
        for name in LIST_NAMES:
            await client.create(name, odd=str(LIST_NAMES.index(name) % 2))
        first = await client.call("list", limit="2", labelSelector="odd=0")
        token = first["metadata"]["continue"]
        second = await client.call("list", limit="2", labelSelector="odd=0", **{"continue": token})
        names = [item["metadata"]["name"] for item in first["items"] + second["items"]]
        assert names == ["a", "c", "e"]
        assert "remainingItemCount" not in first["metadata"]
        assert "continue" not in second["metadata"]


@scenario
async def test_a_token_of_compacted_history_is_expired():
    async with local_store() as store, local_core(store=store) as core:
        client = Client(core.api)
        for name in LIST_NAMES:
            await client.create(name)
        token = (await client.call("list", limit="2"))["metadata"]["continue"]
        newest = (await client.create("f"))["metadata"]["resourceVersion"]
        await store.compact(rpc.CompactionRequest(revision=int(newest)))
        with pytest.raises(StatusError) as caught:
            await client.call("list", limit="2", **{"continue": token})
        assert caught.value.code == 410


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"continue": "%%%"}, 400),
        ({"continue": base64.urlsafe_b64encode(b"{}").decode()}, 400),
        ({"resourceVersion": "x"}, 400),
        ({"limit": "many"}, 400),
        ({"labelSelector": "a in"}, 400),
        ({"fieldSelector": "spec.nope=1"}, 400),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersionMatch": "Roughly", "resourceVersion": "1"}, 422),
    ],
)
@scenario
async def test_a_list_that_makes_no_sense_is_refused(query, code):
    async with local_api() as api:
        with pytest.raises(StatusError) as caught:
            await Client(api).call("list", **query)
        assert caught.value.code == code


@scenario
async def test_an_exact_revision_is_read_from_history():
    async with local_api() as api:
        client = Client(api)
        old = (await client.create("a"))["metadata"]["resourceVersion"]
        await client.create("b")
        listed = await client.call("list", resourceVersion=old, resourceVersionMatch="Exact")
        assert [item["metadata"]["name"] for item in listed["items"]] == ["a"]
        assert listed["metadata"]["resourceVersion"] == old


@scenario
async def test_a_list_sees_every_write_that_was_answered_before_it():
    async with local_api() as api:
        client = Client(api)

        async def write_and_list(number):
            await client.create(f"c{number}")
            return {item["metadata"]["name"] for item in (await client.call("list"))["items"]}

        lists = await asyncio.gather(*(write_and_list(number) for number in range(50)))
        assert all(f"c{number}" in names for number, names in enumerate(lists))


@scenario
async def test_watchers_are_indexed_by_name_and_namespace():
    async with local_api() as api:
        client = Client(api)
        revision = await client.revision()
        named = await client.watch(resourceVersion=revision, fieldSelector="metadata.name=b")
        elsewhere = await client.handler.watch(
            replace(client.request("watch", resourceVersion=revision), namespace="kube-system")
        )
        everywhere = await client.handler.watch(
            replace(client.request("watch", resourceVersion=revision), namespace="")
        )
        await client.create("a")
        await client.create("b")
        assert [event[1] for event in await take(named, 1)] == ["b"]
        assert [event[1] for event in await take(everywhere, 2)] == ["a", "b"]
        await elsewhere.request_progress()
        assert [event[0] for event in await take(elsewhere, 1)] == ["BOOKMARK"]
