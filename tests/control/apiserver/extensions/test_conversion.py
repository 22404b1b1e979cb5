"""Conversion between versions by a webhook, over real TLS: what it makes is served, what it gets wrong is told."""

import copy

import pytest
from aiohttp import web

from control.apiserver.admission.webhook_server import webhook_server
from control.apiserver.extensions.samples import GADGETS, SCHEMA, call, define, definition, gadget, version
from control.apiserver.harness import ADMIN, local_api, scenario
from minik8s.api.errors import StatusError
from minik8s.api.request import MERGE_PATCH, Request

OLD = ("example.com", "v1alpha1", "gadgets")
OLD_SCHEMA = copy.deepcopy(SCHEMA)
OLD_SCHEMA["properties"]["spec"]["properties"] = {"amount": {"type": "integer"}}
PLACE = {"namespace": "default", "name": "g"}


def review(request, objects, **more):
    response = {"uid": request["uid"], "convertedObjects": objects, "result": {"status": "Success"}} | more
    return web.json_response(
        {"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response}
    )


def converted(document, api_version):
    spec = document.get("spec", {})
    made = {"count": spec["amount"]} if "amount" in spec else {"amount": spec["count"]} if "count" in spec else {}
    return document | {"apiVersion": api_version, "spec": made}


async def convert(request):
    return review(request, [converted(each, request["desiredAPIVersion"]) for each in request["objects"]])


async def forget(request):
    return review(request, [])


async def rename(request):
    made = [converted(each, request["desiredAPIVersion"]) for each in request["objects"]]
    return review(request, [each | {"metadata": each["metadata"] | {"name": "other"}} for each in made])


async def refuse(request):
    return review(request, [], result={"status": "Failure", "message": "not today"})


def two_versions(server):
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": server.config("/convert")}
    old = version("v1alpha1", storage=False, schema={"openAPIV3Schema": OLD_SCHEMA})
    return definition(version(), old, conversion={"strategy": "Webhook", "webhook": webhook})


@scenario
async def test_objects_are_read_and_written_in_either_version(tmp_path):
    async with local_api() as api, webhook_server(tmp_path) as server:
        server.handlers["/convert"] = convert
        handler = api.as_user(ADMIN)
        await define(handler, two_versions(server))
        made = await call(
            handler, "create", OLD, namespace="default", document=gadget("g", "example.com/v1alpha1", amount=2)
        )
        assert made["spec"] == {"amount": 2}
        found = await call(handler, "get", GADGETS, **PLACE)
        assert (found["apiVersion"], found["spec"]) == ("example.com/v1", {"count": 2, "color": "red"})
        listed = await call(handler, "list", OLD)
        assert [(each["apiVersion"], each["spec"]) for each in listed["items"]] == [
            ("example.com/v1alpha1", {"amount": 2})
        ]
        patched = await call(handler, "patch", OLD, **PLACE, document={"spec": {"amount": 5}}, content_type=MERGE_PATCH)
        assert patched["spec"] == {"amount": 5}
        assert (await call(handler, "get", GADGETS, **PLACE))["spec"]["count"] == 5
        asked = len(server.reviews)
        watcher = await handler.watch(Request("watch", *OLD))
        async for event in watcher:
            assert b'"amount":5' in event.object
            break
        await watcher.close()
        assert len(server.reviews) == asked + 1, "a batch is one question"


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (forget, "returned 0 objects, expected 1"),
        (rename, "returned invalid converted object at index 0: must have the same name: other != g"),
        (refuse, "failed: not today"),
    ],
    ids=["forget", "rename", "refuse"],
)
@scenario
async def test_what_a_webhook_gets_wrong_is_told(behaviour, told, tmp_path):
    async with local_api() as api, webhook_server(tmp_path) as server:
        server.handlers["/convert"] = convert
        handler = api.as_user(ADMIN)
        await define(handler, two_versions(server))
        await call(handler, "create", GADGETS, namespace="default", document=gadget("g", count=2))
        server.handlers["/convert"] = behaviour
        with pytest.raises(StatusError) as failure:
            await call(handler, "get", OLD, **PLACE)
        assert failure.value.code == 500
        assert failure.value.message == f"conversion webhook for example.com/v1, Kind=Gadget {told}"
        assert (await call(handler, "get", GADGETS, **PLACE))["spec"]["count"] == 2, "its own version needs nobody"
