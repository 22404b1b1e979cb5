"""Informers: the pure store by table, the shell over a scripted and over a true API, in virtual time."""

import asyncio
import random

import pytest
from control.apiserver.harness import ADMIN, local_api
from sim.control.faulty import Faults, FaultyTransport
from sim.store.virtual_loop import run

from minik8s.api import errors
from minik8s.api.core_v1 import CONFIGMAPS, ConfigMap
from minik8s.api.meta_v1 import ObjectMeta
from minik8s.client.client import Client
from minik8s.client.informer import Informer, Store
from minik8s.kit.clock import LoopClock


def configmap(name: str, revision: int, *, uid: str = "", value: str = "") -> ConfigMap:
    meta = ObjectMeta(name=name, namespace="default", uid=uid or name, resourceVersion=str(revision))
    return ConfigMap(metadata=meta, data={"v": value} if value else None)


def told(changes) -> list[tuple[str, str]]:
    return [(change.type, change.key.removeprefix("default/")) for change in changes if change]


def test_a_list_is_told_as_its_differences():
    store: Store[ConfigMap] = Store()
    assert told(store.replace([configmap("a", 1), configmap("b", 2)], 5)) == [("ADDED", "a"), ("ADDED", "b")]
    changes = store.replace([configmap("b", 7), configmap("c", 8)], 9)
    assert told(changes) == [("DELETED", "a"), ("MODIFIED", "b"), ("ADDED", "c")]
    assert store.revision == 9


def test_an_object_made_anew_under_its_name_is_told_as_deleted_and_added():
    store: Store[ConfigMap] = Store()
    store.replace([configmap("a", 1, uid="old")], 1)
    assert told(store.replace([configmap("a", 4, uid="new")], 5)) == [("DELETED", "a"), ("ADDED", "a")]


@pytest.mark.parametrize(
    ("type_", "name", "revision", "expected"),
    [
        ("ADDED", "b", 11, ("ADDED", "b")),
        ("MODIFIED", "a", 11, ("MODIFIED", "a")),
        ("ADDED", "a", 11, ("MODIFIED", "a")),
        ("MODIFIED", "b", 11, ("ADDED", "b")),
        ("DELETED", "a", 11, ("DELETED", "a")),
        ("DELETED", "b", 11, None),
        ("MODIFIED", "a", 10, None),
        ("MODIFIED", "a", 3, None),
    ],
)
def test_events_are_told_once_and_never_backwards(type_, name, revision, expected):
    store: Store[ConfigMap] = Store()
    store.replace([configmap("a", 9)], 10)
    change = store.apply(type_, configmap(name, revision), revision)
    assert told([change]) == ([expected] if expected else [])
    assert store.revision == max(10, revision)


def test_a_list_from_the_past_changes_nothing():
    store: Store[ConfigMap] = Store()
    store.replace([configmap("a", 9)], 10)
    assert store.replace([], 8) == []
    assert list(store.items) == ["default/a"]


@pytest.mark.parametrize(
    ("error", "must_list"),
    [(errors.expired("too old"), True), (errors.timeout("?"), False), (errors.service_unavailable("?"), False)],
)
def test_only_lost_history_leads_to_a_new_list(error, must_list):
    store: Store[ConfigMap] = Store()
    store.replace([], 1)
    store.fail(error)
    assert store.must_list is must_list


def test_indexes_follow_changes():
    store: Store[ConfigMap] = Store()
    store.replace([configmap("a", 1, value="x")], 1)
    store.add_index("value", lambda one: (one.data or {}).values())
    store.apply("ADDED", configmap("b", 2, value="x"), 2)
    store.apply("MODIFIED", configmap("a", 3, value="y"), 3)
    assert [one.metadata.name for one in store.by_index("value", "x")] == ["b"]
    assert [one.metadata.name for one in store.by_index("value", "y")] == ["a"]
    store.apply("DELETED", configmap("b", 4, value="x"), 4)
    assert store.by_index("value", "x") == []


@pytest.mark.parametrize("seed", range(5))
def test_over_a_bad_connection_the_copy_never_goes_back_and_ends_up_right(seed):
    async def main():
        rng = random.Random(seed)
        async with local_api(clock=LoopClock(), seed=seed) as api:
            client = Client(api.as_user(ADMIN), field_manager="test")
            faults = Faults(request_lost=0.05, reply_lost=0.05, late=0, broken=0.1, lag_s=0.3)
            faulty = Client(FaultyTransport(api.as_user(ADMIN), rng, faults), field_manager="test")
            informer = Informer(faulty, CONFIGMAPS, namespace="default", clock=LoopClock(), rng=rng)
            seen: dict[str, int] = {}

            def handler(type_, old, new):
                key, revision = new.metadata.uid, int(new.metadata.resourceVersion)
                assert revision > seen.get(key, 0) or type_ == "DELETED"
                assert (old is None) == (type_ == "ADDED")
                seen[key] = max(revision, seen.get(key, 0))

            informer.add_handler(handler)
            task = asyncio.ensure_future(informer.run())
            for step in range(60):
                name = f"c{rng.randrange(6)}"
                try:
                    if f"default/{name}" in informer.items and rng.random() < 0.3:
                        await client.delete(CONFIGMAPS, name, namespace="default")
                    else:
                        await client.create(CONFIGMAPS, {"metadata": {"name": name}}, namespace="default")
                except errors.StatusError as error:
                    if error.reason == "AlreadyExists":
                        patch = {"data": {"step": str(step)}}
                        await client.patch(CONFIGMAPS, name, patch, namespace="default")
                await asyncio.sleep(rng.random())
            listed = await client.list(CONFIGMAPS, namespace="default")
            await informer.reach(listed.revision, timeout_s=60)
            assert dict(informer.items) == {f"default/{one.metadata.name}": one for one in listed.items}
            assert not task.done()
            task.cancel()

    run(main())


def test_reach_sees_a_write_of_another_kind_by_asking_for_progress():
    async def main():
        async with local_api(clock=LoopClock()) as api:
            client = Client(api.as_user(ADMIN), field_manager="test")
            informer = Informer(client, CONFIGMAPS, namespace="elsewhere", clock=LoopClock(), rng=random.Random(1))
            task = asyncio.ensure_future(informer.run())
            await informer.synced.wait()
            made = await client.create(CONFIGMAPS, {"metadata": {"name": "a"}}, namespace="default")
            started_s = asyncio.get_running_loop().time()
            await informer.reach(int(made.metadata.resourceVersion), timeout_s=5)
            assert asyncio.get_running_loop().time() - started_s < 1
            with pytest.raises(TimeoutError):
                await informer.reach(10**9, timeout_s=1)
            task.cancel()

    run(main())
