"""Lists and gets: which combinations of options are refused, in which words; pages, tokens, exact revisions."""

import asyncio
import base64
import json

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver import listoptions
from minik8s.wire.etcd import rpc_pb2 as rpc

from .harness import local_api, local_core, local_store, scenario
from .test_watch import Client

MATCH = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"resourceVersionMatch": "Exact"}, f"{MATCH} unless resourceVersion is provided"),
        (
            {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
            'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (
            {"resourceVersionMatch": "Newer", "resourceVersion": "5"},
            'Unsupported value: "Newer": supported values: "Exact", "NotOlderThan", ""',
        ),
        (
            {"resourceVersionMatch": "Exact", "resourceVersion": "5", "continue": "x"},
            f"{MATCH} when continue is provided",
        ),
        ({"sendInitialEvents": "true"}, "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
    ],
)
def test_options_of_a_list_that_make_no_sense_are_422(query, why):
    with pytest.raises(StatusError) as caught:
        listoptions.parse_list(query)
    assert caught.value.code == 422
    assert why in caught.value.message


def test_every_fault_is_a_cause():
    with pytest.raises(StatusError) as caught:
        listoptions.parse_list({"resourceVersionMatch": "x", "sendInitialEvents": "1"})
    assert [cause.reason for cause in caught.value.causes] == [
        "FieldValueForbidden",
        "FieldValueNotSupported",
        "FieldValueForbidden",
    ]


def token(**fields):
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "%",
        "e30",
        "AAAA",
        "é",
        token(v="v0", rv=5, start="a"),
        token(v="meta.k8s.io/v1", rv=0, start="a"),
        token(v="meta.k8s.io/v1", rv=5, start=""),
        token(v="meta.k8s.io/v1", rv=5, start="../secrets/a"),
        token(v="meta.k8s.io/v1", rv=5, start="/a"),
        token(v="meta.k8s.io/v1", rv="5", start="a"),
    ],
)
def test_a_token_that_is_none_is_400(text):
    with pytest.raises(StatusError, match="continue key is not valid") as caught:
        listoptions.parse_list({"continue": text})
    assert caught.value.code == 400


@pytest.mark.parametrize(
    "query", [{"resourceVersion": "x"}, {"resourceVersion": "-1"}, {"limit": "x"}, {"limit": "1e3"}]
)
def test_numbers_that_are_none_are_400(query):
    with pytest.raises(StatusError) as caught:
        listoptions.parse_list(query)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("true", True), ("", True), ("0", False), ("False", False)]
)
def test_booleans_are_read_as_go_reads_them(text, expected):
    assert listoptions.is_true(text) is expected


async def items(client, **query):
    return [item["metadata"]["name"] for item in (await client.call("list", **query))["items"]]


@scenario
async def test_a_token_never_leads_out_of_its_namespace():
    async with local_api() as api:
        client = Client(api)
        secret = Request("create", "", "v1", "configmaps", "kube-public", body=b'{"metadata":{"name":"other"}}')
        await client.handler.call(secret)
        await client.create("z")
        revision = int(await client.revision())
        for start in ("default/z", "a", "kube-public/a", "default"):
            forged = token(v="meta.k8s.io/v1", rv=revision, start=start)
            request = Request("list", "", "v1", "configmaps", "kube-system", query={"continue": forged})
            with pytest.raises(StatusError, match="continue key is not valid"):
                await client.handler.call(request)


@scenario
async def test_an_expired_token_is_exchanged_for_an_inconsistent_one():
    async with local_store() as store, local_core(store=store) as core:
        client = Client(core.api)
        for name in "abcd":
            await client.create(name)
        first = await client.call("list", limit="2")
        await client.call("delete", "c")
        newest = (await client.create("bb"))["metadata"]["resourceVersion"]
        await store.compact(rpc.CompactionRequest(revision=int(newest)))
        with pytest.raises(StatusError, match="The provided continue parameter is too old") as caught:
            await client.call("list", limit="2", **{"continue": first["metadata"]["continue"]})
        status = caught.value.status()
        assert (status["code"], status["reason"]) == (410, "Expired")
        rest = await client.call("list", limit="1", **{"continue": status["metadata"]["continue"]})
        assert [item["metadata"]["name"] for item in rest["items"]] == ["bb"]
        assert rest["metadata"]["resourceVersion"] == newest
        rest = await client.call("list", limit="5", **{"continue": rest["metadata"]["continue"]})
        assert [item["metadata"]["name"] for item in rest["items"]] == ["d"]


@scenario
async def test_a_page_at_a_revision_is_exactly_that():
    async with local_api() as api:
        client = Client(api)
        await client.create("a")
        old = await client.revision()
        await client.create("b")
        assert await items(client, resourceVersion=old, limit="5") == ["a"]
        assert await items(client, resourceVersion=old, resourceVersionMatch="Exact") == ["a"]
        assert await items(client, resourceVersion=old) == ["a", "b"]
        assert await items(client, resourceVersion=old, limit="5", resourceVersionMatch="NotOlderThan") == ["a", "b"]


@scenario
async def test_a_get_may_name_a_revision(monkeypatch):
    monkeypatch.setattr("minik8s.control.apiserver.reads._TOO_LARGE_TIMEOUT_S", 0.05)
    async with local_api() as api:
        client = Client(api)
        created = await client.create("a")
        assert await client.call("get", "a", resourceVersion=created["metadata"]["resourceVersion"]) == created
        assert await client.call("get", "a", resourceVersion="0") == created  # Any: the cache is there by now.
        with pytest.raises(StatusError, match="Too large resource version: 999"):
            await client.call("get", "a", resourceVersion="999")
        with pytest.raises(StatusError, match='configmaps "b" not found'):
            await client.call("get", "b", resourceVersion="0")


@scenario
async def test_an_exact_list_of_the_future_is_waited_for_and_refused(monkeypatch):
    monkeypatch.setattr("minik8s.control.apiserver.reads._TOO_LARGE_TIMEOUT_S", 0.05)
    async with local_api() as api:
        with pytest.raises(StatusError, match="Too large resource version: 999") as caught:
            await Client(api).call("list", resourceVersion="999", resourceVersionMatch="Exact")
        assert (caught.value.code, caught.value.retry_after_s) == (504, 1)


@scenario
async def test_a_get_sees_every_write_that_was_answered_before_it():
    async with local_store() as store, local_core(store=store) as one, local_core(store=store, seed=2) as two:
        writer, reader = Client(one.api), Client(two.api)

        async def write_and_get(number):
            await writer.create(f"c{number}")
            labelled = await writer.label(f"c{number}", x="1")
            assert await reader.call("get", f"c{number}") == labelled
            await writer.call("delete", f"c{number}")
            with pytest.raises(StatusError, match="not found"):
                await reader.call("get", f"c{number}")

        await asyncio.gather(*(write_and_get(number) for number in range(40)))
