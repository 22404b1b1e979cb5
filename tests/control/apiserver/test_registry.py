"""Objects in the store: encoding, optimistic writes, claims, and writes whose outcome is unknown."""

import json
import random

import pytest

from minik8s.api.errors import StatusError
from minik8s.control.apiserver import registry
from minik8s.control.apiserver.registry import ClaimTaken, Overtaken, Registry, Rewrite, Superseded
from minik8s.control.apiserver.resources import CONFIGMAPS, NODES, SERVICES

from .faults import LOST_AFTER, LOST_BEFORE, FaultyStore
from .harness import local_store, scenario

KEY = registry.key_of(CONFIGMAPS, "default", "a")


def document(**data):
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "default"}, "data": data}


def made(store, **options):
    return Registry(store, rng=random.Random(1), **options)


@pytest.mark.parametrize(
    ("resource", "namespace", "key"),
    [
        (CONFIGMAPS, "default", b"/registry/configmaps/default/a"),
        (SERVICES, "default", b"/registry/services/specs/default/a"),
        (NODES, "", b"/registry/minions/a"),
    ],
)
def test_keys_are_upstreams(resource, namespace, key):
    assert registry.key_of(resource, namespace, "a") == key


def test_the_revision_is_spliced_into_its_slot_and_nowhere_else():
    tricky = document(**{"resourceVersion": "no", '"resourceVersion":"': '"resourceVersion":"x"'})
    tricky["metadata"]["annotations"] = {"resourceVersion": "neither"}
    body = json.loads(registry.splice(registry.encode(tricky, "0" * 16), 12345))
    assert body["metadata"]["resourceVersion"] == "12345"
    del body["metadata"]["resourceVersion"]
    assert body == tricky


@scenario
async def test_an_object_is_created_read_updated_and_deleted():
    async with local_store() as store:
        objects = made(store)
        created = await objects.create(KEY, document(x="1"))
        assert (await objects.get(KEY)) == created
        assert json.loads(created.body)["metadata"]["resourceVersion"] == str(created.revision)
        updated = await objects.update(created, document(x="2"))
        assert (updated.revision, updated.version, updated.created) == (created.revision + 1, 2, created.revision)
        assert await objects.delete(updated) == updated.revision + 1
        assert await objects.get(KEY) is None
        assert await objects.current_revision() == updated.revision + 1


@scenario
async def test_a_write_from_what_is_no_longer_there_is_superseded():
    async with local_store() as store:
        objects = made(store)
        first = await objects.create(KEY, document(x="1"))
        with pytest.raises(Superseded) as caught:
            await objects.create(KEY, document())
        assert caught.value.current == first
        second = await objects.update(first, document(x="2"))
        with pytest.raises(Superseded) as caught:
            await objects.update(first, document(x="3"))
        assert caught.value.current == second
        with pytest.raises(Superseded):
            await objects.delete(first)
        await objects.delete(second)
        with pytest.raises(Superseded) as caught:
            await objects.update(second, document(x="4"))
        assert caught.value.current is None


@scenario
async def test_a_claim_is_held_by_one_object_and_goes_with_it():
    async with local_store() as store:
        objects = made(store)
        other = registry.key_of(CONFIGMAPS, "default", "b")
        held = await objects.create(KEY, document(), claims=["ips/1", "ips/2"])
        with pytest.raises(ClaimTaken) as caught:
            await objects.create(other, document(), claims=["ips/0", "ips/2"])
        assert caught.value.names == ("ips/2",)
        assert await objects.get(other) is None
        held = await objects.update(held, document(x="1"), claims=["ips/3"], releases=["ips/1"])
        second = await objects.create(other, document(), claims=["ips/1"])
        with pytest.raises(ClaimTaken):
            await objects.update(second, document(x="2"), claims=["ips/3"])
        await objects.delete(held, releases=["ips/2", "ips/3"])
        await objects.update(second, document(x="2"), claims=["ips/2", "ips/3"])


@scenario
async def test_a_create_whose_answer_was_lost_is_found_by_reading_it_back():
    async with local_store() as store:
        created = await made(FaultyStore(store, {1: LOST_AFTER})).create(KEY, document(x="1"))
        assert created.revision == (await made(store).get(KEY)).revision


@scenario
async def test_a_create_that_cannot_be_proven_is_a_timeout_and_is_sent_once():
    async with local_store() as store:
        faulty = FaultyStore(store, {1: LOST_BEFORE})
        with pytest.raises(StatusError) as caught:
            await made(faulty, look_timeout_s=0.1).create(KEY, document())
        assert (caught.value.reason, faulty.txns) == ("Timeout", 1)


@scenario
async def test_a_create_that_another_object_may_have_followed_is_a_timeout():
    async with local_store() as store:
        plain = made(store)

        async def replaced():
            mine = await plain.get(KEY)
            await plain.delete(mine)
            await plain.create(KEY, document(x="another"))

        with pytest.raises(StatusError) as caught:
            await made(FaultyStore(store, {1: LOST_AFTER}, replaced)).create(KEY, document())
        assert caught.value.reason == "Timeout"


@pytest.mark.parametrize("fault", [LOST_BEFORE, LOST_AFTER])
@scenario
async def test_an_update_or_deletion_whose_answer_was_lost_happens_once(fault):
    async with local_store() as store:
        created = await made(store).create(KEY, document(x="1"))
        updated = await made(FaultyStore(store, {1: fault})).update(created, document(x="2"))
        assert updated.revision == created.revision + 1
        assert await made(store).get(KEY) == updated
        await made(FaultyStore(store, {1: fault})).delete(updated)
        assert await made(store).get(KEY) is None
        assert await made(store).current_revision() == created.revision + 2


@scenario
async def test_an_update_that_another_beat_is_superseded_although_its_answer_was_lost():
    async with local_store() as store:
        plain = made(store)
        created = await plain.create(KEY, document(x="1"))
        winner = await plain.update(created, document(x="theirs"))
        with pytest.raises(Superseded) as caught:
            await made(FaultyStore(store, {1: LOST_BEFORE})).update(created, document(x="ours"))
        assert caught.value.current == winner


@scenario
async def test_an_update_that_may_have_been_overwritten_is_a_timeout():
    async with local_store() as store:
        plain = made(store)
        created = await plain.create(KEY, document(x="1"))

        async def overwritten():
            await plain.update(await plain.get(KEY), document(x="theirs"))

        with pytest.raises(StatusError) as caught:
            await made(FaultyStore(store, {1: LOST_AFTER}, overwritten)).update(created, document(x="ours"))
        assert caught.value.reason == "Timeout"


@scenario
async def test_pages_are_of_one_revision():
    async with local_store() as store:
        objects = made(store)
        for name in "abcde":
            await objects.create(registry.key_of(CONFIGMAPS, "default", name), document(name=name))
        prefix = registry.prefix_of(CONFIGMAPS)
        first = await objects.page(prefix, limit=2)
        await objects.create(registry.key_of(CONFIGMAPS, "default", "c2"), document())
        rest = await objects.page(prefix, start=first.items[-1].key + b"\0", revision=first.revision)
        names = [each.key.rpartition(b"/")[2] for each in first.items + rest.items]
        assert (names, first.remaining) == ([b"a", b"b", b"c", b"d", b"e"], 3)


@scenario
async def test_another_object_is_replaced_in_the_same_transaction_or_nothing_is():
    beside_key = registry.key_of(CONFIGMAPS, "default", "b")
    async with local_store() as store:
        objects = made(store)
        other = await objects.create(beside_key, document(used="0"))
        change = Rewrite(beside_key, other.revision, document(used="1"))
        created = await objects.create(KEY, document(x="1"), beside=[change])
        after = await objects.get(beside_key)
        assert (after.document()["data"], after.revision) == ({"used": "1"}, created.revision)
        with pytest.raises(Overtaken):
            await objects.update(created, document(x="2"), beside=[change])
        with pytest.raises(Superseded):
            await objects.create(KEY, document(x="3"), beside=[change])
        assert (await objects.get(KEY)) == created
        assert (await objects.get(beside_key)) == after


@pytest.mark.parametrize("fault", [LOST_BEFORE, LOST_AFTER])
@scenario
async def test_what_is_replaced_beside_a_write_of_unknown_outcome_is_replaced_once(fault):
    beside_key = registry.key_of(CONFIGMAPS, "default", "b")
    async with local_store() as store:
        calm = made(store)
        other = await calm.create(beside_key, document(used="0"))
        first = await calm.create(KEY, document(x="1"))
        faulty = made(FaultyStore(store, {1: fault}))
        await faulty.update(first, document(x="2"), beside=[Rewrite(beside_key, other.revision, document(used="1"))])
        after = await calm.get(beside_key)
        assert (after.document()["data"], after.version) == ({"used": "1"}, 2)
