"""Secrets at rest: what the store holds, what clients see, how keys are changed, and what no key opens."""

import base64
import json
import os
import random

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver import resources
from minik8s.control.apiserver.encryption import keyring
from minik8s.control.apiserver.encryption.ciphers import AesCbc, AesGcm, Unsealable
from minik8s.control.apiserver.encryption.store import EncryptedStore, keyrings_by_prefix
from minik8s.wire.etcd import rpc_pb2 as rpc

from ..harness import ADMIN, local_core, local_store, scenario

KEY = b"/registry/secrets/default/a"
SECRET = {"metadata": {"name": "a"}, "data": {"password": base64.b64encode(b"hunter2").decode()}}


def key(name: str, fill: int) -> dict:
    return {"name": name, "secret": base64.b64encode(bytes([fill]) * 32).decode()}


def configuration(*providers: dict, names: tuple[str, ...] = ("secrets",)) -> dict:
    return {
        "kind": "EncryptionConfiguration",
        "apiVersion": "apiserver.config.k8s.io/v1",
        "resources": [{"resources": list(names), "providers": list(providers)}],
    }


def sealed(store, *providers: dict):
    keyrings = keyring.parse(configuration(*providers), os.urandom)
    return EncryptedStore(store, keyrings_by_prefix(keyrings, resources.STORED))


def request(verb, name="", body=None):
    return Request(verb, "", "v1", "secrets", "default", name, "", {}, json.dumps(body).encode() if body else b"")


async def stored(store, at=KEY) -> bytes:
    return (await store.range(rpc.RangeRequest(key=at))).kvs[0].value


GCM1, GCM2 = {"aesgcm": {"keys": [key("key1", 1)]}}, {"aesgcm": {"keys": [key("key2", 2)]}}
IDENTITY = {"identity": {}}


@pytest.mark.parametrize("cipher", [AesGcm, AesCbc])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 1000])
def test_what_is_sealed_opens_again(cipher, size):
    value = random.Random(size).randbytes(size)
    sealer = cipher(b"k" * 32, os.urandom)
    once, twice = sealer.seal(KEY, value), sealer.seal(KEY, value)
    assert once != twice
    assert sealer.unseal(KEY, once) == sealer.unseal(KEY, twice) == value


@pytest.mark.parametrize("damage", [lambda sealed: sealed[:-1], lambda sealed: sealed[:5], lambda sealed: b""])
@pytest.mark.parametrize("cipher", [AesGcm, AesCbc])
def test_what_is_damaged_is_said_to_be(cipher, damage):
    sealer = cipher(b"k" * 32, os.urandom)
    with pytest.raises(Unsealable):
        sealer.unseal(KEY, damage(sealer.seal(KEY, b"value")))


def test_a_value_moved_under_another_name_does_not_open():
    sealer = AesGcm(b"k" * 16, os.urandom)
    with pytest.raises(Unsealable):
        sealer.unseal(b"/registry/secrets/default/b", sealer.seal(KEY, b"value"))


@scenario
async def test_the_store_sees_no_secret_and_clients_see_nothing_else():
    async with local_store() as below, local_core(store=sealed(below, GCM1, IDENTITY)) as core:
        handler = core.api.as_user(ADMIN)
        watch = await handler.watch(request("watch"))
        await handler.call(request("create", body=SECRET))
        raw = await stored(below)
        assert raw.startswith(b"k8s:enc:aesgcm:v1:key1:")
        assert b"password" not in raw
        got = json.loads((await handler.call(request("get", "a"))).body)
        listed = json.loads((await handler.call(request("list"))).body)["items"]
        async for event in watch:
            assert json.loads(event.object) == got == listed[0]
            break
        assert got["data"] == SECRET["data"]
        maps = await core.registry.store.range(rpc.RangeRequest(key=b"/registry/namespaces/default"))
        assert maps.kvs[0].value.startswith(b"{")


@scenario
async def test_keys_are_changed_by_writing_every_object_anew():
    async with local_store() as below:
        async with local_core(store=below) as core:
            await core.api.as_user(ADMIN).call(request("create", body=SECRET))
        for providers, prefix in (
            ((GCM1, IDENTITY), b"k8s:enc:aesgcm:v1:key1:"),
            ((GCM2, GCM1), b"k8s:enc:aesgcm:v1:key2:"),
            ((IDENTITY, GCM2), b"{"),
        ):
            async with local_core(store=sealed(below, *providers)) as core:
                handler = core.api.as_user(ADMIN)
                before = json.loads((await handler.call(request("get", "a"))).body)
                after = json.loads((await handler.call(request("update", "a", before))).body)
                assert (await stored(below)).startswith(prefix)
                assert after["data"] == SECRET["data"]
                again = json.loads((await handler.call(request("update", "a", after))).body)
                assert again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


@scenario
async def test_what_no_key_opens_fails_its_kind_and_nothing_else():
    async with local_store() as below:
        async with local_core(store=sealed(below, GCM1)) as core:
            await core.api.as_user(ADMIN).call(request("create", body=SECRET))
        async with local_core(store=sealed(below, GCM2, IDENTITY)) as core:
            handler = core.api.as_user(ADMIN)
            for verb, name in (("get", "a"), ("list", "")):
                with pytest.raises(
                    StatusError, match='unable to transform key "/registry/secrets/default/a"'
                ) as caught:
                    await handler.call(request(verb, name))
                assert caught.value.code == 500
            await handler.call(Request("list", "", "v1", "configmaps"))


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (None, "kind must be EncryptionConfiguration"),
        (configuration({"kms": {}}), r"providers\[0\].kms: not supported"),
        (configuration({"aesgcm": {"keys": [{"name": "a", "secret": "eA=="}]}}), "16, 24 or 32 bytes, this one 1"),
        (configuration({"aesgcm": {"keys": [{"name": "a", "secret": "?"}]}}), "must be base64"),
        (configuration({"aesgcm": {"keys": [{"secret": "?"}]}}), "name: Required value"),
        (configuration({"aesgcm": {}}), "keys: Required value"),
        (configuration(), "providers: Required value"),
    ],
)
def test_a_wrong_configuration_says_where_it_is_wrong(document, why):
    with pytest.raises(ValueError, match=why):
        keyring.parse(document, os.urandom)


def test_wildcards_leave_what_is_named():
    both = configuration(GCM1) | {}
    both["resources"].append({"resources": ["*.apps", "widgets.example.com"], "providers": [GCM2]})
    found = keyrings_by_prefix(keyring.parse(both, os.urandom), resources.STORED)
    assert {b"/registry/secrets/", b"/registry/deployments/", b"/registry/example.com/widgets/"} <= set(found)
    assert b"/registry/pods/" not in found
