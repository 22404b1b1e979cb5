"""Custom kinds from end to end: defined, served, written, read, watched, taken away."""

import asyncio
import copy

import msgspec
import pytest

from control.apiserver.extensions.samples import CRDS, GADGETS, SCHEMA, call, define, definition, gadget, version
from control.apiserver.harness import ADMIN, local_api, local_core, local_store, scenario
from minik8s.api.errors import StatusError
from minik8s.api.request import MERGE_PATCH, Request
from minik8s.control.apiserver.documents import Documents


@scenario
async def test_a_defined_kind_is_served_and_its_objects_live():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler)
        made = await call(handler, "create", GADGETS, namespace="default", document=gadget("g", count=2))
        assert made["spec"] == {"count": 2, "color": "red"}
        assert made["metadata"]["generation"] == 1
        listed = await call(handler, "list", GADGETS)
        assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("GadgetList", ["g"])
        made["spec"]["count"] = 3
        updated = await call(handler, "update", GADGETS, namespace="default", name="g", document=made)
        assert updated["metadata"]["generation"] == 2
        await call(handler, "delete", GADGETS, namespace="default", name="g")
        with pytest.raises(StatusError) as failure:
            await call(handler, "get", GADGETS, namespace="default", name="g")
        assert failure.value.message == 'gadgets.example.com "g" not found'


async def refused(handler, verb, place, **given):
    with pytest.raises(StatusError) as failure:
        await call(handler, verb, place, **given)
    return failure.value


@scenario
async def test_faults_are_told_in_upstreams_words():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler)
        for spec, told in (
            ({"count": 0}, "spec.count: Invalid value: 0: spec.count in body should be greater than or equal to 1"),
            (
                {"count": "x"},
                'spec.count: Invalid value: "string": spec.count in body must be of type integer: "string"',
            ),
            ({"color": "blue"}, 'spec.color: Unsupported value: "blue": supported values: "red", "green"'),
            (
                {"size": True},
                'spec.size: Invalid value: "boolean": spec.size in body must be of type integer,string: "boolean"',
            ),
        ):
            error = await refused(handler, "create", GADGETS, namespace="default", document=gadget("g", **spec))
            assert error.message == f'Gadget.example.com "g" is invalid: {told}'
        unknown = gadget("g", what=1)
        error = await refused(
            handler, "create", GADGETS, namespace="default", document=unknown, query={"fieldValidation": "Strict"}
        )
        assert error.message == (
            'Gadget in version "v1" cannot be handled as a Gadget: strict decoding error: unknown field "spec.what"'
        )


@scenario
async def test_an_update_must_name_the_version_it_replaces():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler)
        await call(handler, "create", GADGETS, namespace="default", document=gadget("g"))
        error = await refused(handler, "update", GADGETS, namespace="default", name="g", document=gadget("g", count=2))
        assert error.message == (
            'Gadget.example.com "g" is invalid: metadata.resourceVersion: Invalid value: 0x0: '
            "must be specified for an update"
        )


@scenario
async def test_status_and_scale_are_written_apart():
    subresources = {
        "status": {},
        "scale": {"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.replicas"},
    }
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler, definition(version(subresources=subresources)))
        place = {"namespace": "default", "name": "g"}
        document = gadget("g", count=2) | {"status": {"replicas": 7}}
        made = await call(handler, "create", GADGETS, namespace="default", document=document)
        assert "status" not in made
        made["status"] = {"replicas": 1}
        made["spec"]["count"] = 9
        updated = await call(handler, "update", GADGETS, **place, subresource="status", document=made)
        assert (updated["status"], updated["spec"]["count"]) == ({"replicas": 1}, 2)
        assert updated["metadata"]["generation"] == 1
        scale = await call(handler, "get", GADGETS, **place, subresource="scale")
        assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 2}, {"replicas": 1})
        patch = {"spec": {"replicas": 4}}
        scale = await call(
            handler, "patch", GADGETS, **place, subresource="scale", document=patch, content_type=MERGE_PATCH
        )
        assert scale["spec"] == {"replicas": 4}
        found = await call(handler, "get", GADGETS, **place)
        assert (found["spec"]["count"], found["metadata"]["generation"]) == (4, 2)


@scenario
async def test_without_a_status_of_its_own_status_counts_as_a_wish():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler)
        made = await call(handler, "create", GADGETS, namespace="default", document=gadget("g"))
        patch = {"status": {"replicas": 1}}
        place = {"namespace": "default", "name": "g"}
        done = await call(handler, "patch", GADGETS, **place, document=patch, content_type=MERGE_PATCH)
        assert (made["metadata"]["generation"], done["metadata"]["generation"]) == (1, 2)


@scenario
async def test_deleting_a_definition_deletes_its_objects():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler)
        for name in ("a", "b"):
            await call(handler, "create", GADGETS, namespace="default", document=gadget(name))
        marked = await call(handler, "delete", CRDS, name="gadgets.example.com")
        assert marked["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
        async with asyncio.timeout(5):
            while True:
                try:
                    await call(handler, "get", CRDS, name="gadgets.example.com")
                except StatusError as error:
                    assert error.reason == "NotFound"
                    break
                await asyncio.sleep(0.01)
        error = await refused(handler, "list", GADGETS)
        assert error.message == "the server could not find the requested resource"
        await define(handler)
        assert (await call(handler, "list", GADGETS))["items"] == []


@scenario
async def test_a_kind_defined_at_one_apiserver_is_served_by_the_other():
    async with local_store() as store, local_core(store=store) as one, local_core(store=store, seed=2) as other:
        await define(one.api.as_user(ADMIN))
        made = gadget("g", count=3)
        await call(other.api.as_user(ADMIN), "create", GADGETS, namespace="default", document=made)
        found = await call(one.api.as_user(ADMIN), "get", GADGETS, namespace="default", name="g")
        assert found["spec"]["count"] == 3


@scenario
async def test_discovery_and_openapi_of_every_apiserver_follow_definitions():
    def shown(core):
        documents = documents_of[core]
        groups = msgspec.json.decode(documents.find("/apis", "application/json").body)["groups"]
        index = msgspec.json.decode(documents.find("/openapi/v3", "application/json").body)["paths"]
        return "example.com" in [group["name"] for group in groups], "apis/example.com/v1" in index

    async with local_store() as store, local_core(store=store) as one, local_core(store=store, seed=2) as other:
        documents_of = {core: Documents(core.served) for core in (one, other)}
        assert shown(other) == (False, False)
        await define(one.api.as_user(ADMIN))
        async with asyncio.timeout(5):  # It takes milliseconds; this machine may be busy.
            while shown(other) != (True, True):
                await asyncio.sleep(0.005)
        schema = msgspec.json.decode(documents_of[other].find("/openapi/v3/apis/example.com/v1", "").body)
        made = schema["components"]["schemas"]["com.example.v1.Gadget"]
        assert made["x-kubernetes-group-version-kind"] == [{"group": "example.com", "kind": "Gadget", "version": "v1"}]
        assert set(made["properties"]) == {"apiVersion", "kind", "metadata", "spec", "status"}
        patches = schema["paths"]["/apis/example.com/v1/namespaces/{namespace}/gadgets/{name}"]["patch"]
        assert "application/strategic-merge-patch+json" not in patches["requestBody"]["content"]
        await call(one.api.as_user(ADMIN), "delete", CRDS, name="gadgets.example.com")
        async with asyncio.timeout(5):
            while shown(other) != (False, False):
                await asyncio.sleep(0.005)


@scenario
async def test_what_was_there_before_is_served_after_a_restart():
    async with local_store() as store:
        async with local_core(store=store) as core:
            await define(core.api.as_user(ADMIN))
            await call(core.api.as_user(ADMIN), "create", GADGETS, namespace="default", document=gadget("g"))
        async with local_core(store=store, seed=2) as core:
            listed = await call(core.api.as_user(ADMIN), "list", GADGETS)
            assert [item["metadata"]["name"] for item in listed["items"]] == ["g"]


@scenario
async def test_versions_of_a_kind_show_the_same_objects():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        beta = version("v1beta1", storage=False, deprecated=True)
        await define(handler, definition(version(), beta))
        await call(handler, "create", GADGETS, namespace="default", document=gadget("g"))
        old = ("example.com", "v1beta1", "gadgets")
        listed = await call(handler, "list", old)
        assert (listed["apiVersion"], listed["items"][0]["apiVersion"]) == ("example.com/v1beta1",) * 2
        made = await call(handler, "create", old, namespace="default", document=gadget("h", "example.com/v1beta1"))
        assert made["apiVersion"] == "example.com/v1beta1"
        found = await call(handler, "get", GADGETS, namespace="default", name="h")
        assert found["apiVersion"] == "example.com/v1"
        answer = await handler.call(Request("list", *old))
        assert answer.warnings == ("example.com/v1beta1 Gadget is deprecated; use example.com/v1 Gadget",)


@scenario
async def test_a_watch_shows_objects_in_the_version_asked_for():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler, definition(version(), version("v2", storage=False)))
        watcher = await handler.watch(Request("watch", "example.com", "v2", "gadgets"))
        await call(handler, "create", GADGETS, namespace="default", document=gadget("g"))
        async for event in watcher:
            document = msgspec.json.decode(event.object)
            assert (event.type, document["apiVersion"], document["spec"]) == (
                "ADDED",
                "example.com/v2",
                {"color": "red"},
            )
            break
        await watcher.close()


@scenario
async def test_rules_are_checked_and_told():
    schema = copy.deepcopy(SCHEMA)
    schema["properties"]["spec"]["x-kubernetes-validations"] = [
        {"rule": "self.count <= 5", "message": "too many"},
        {"rule": "self.count >= oldSelf.count", "messageExpression": "'not below ' + string(oldSelf.count)"},
    ]
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler, definition(version(schema={"openAPIV3Schema": schema})))
        error = await refused(handler, "create", GADGETS, namespace="default", document=gadget("g", count=6))
        assert error.message == 'Gadget.example.com "g" is invalid: spec: Invalid value: too many'
        await call(handler, "create", GADGETS, namespace="default", document=gadget("g", count=3))
        patch = {"spec": {"count": 2}}
        place = {"namespace": "default", "name": "g"}
        error = await refused(handler, "patch", GADGETS, **place, document=patch, content_type=MERGE_PATCH)
        assert error.message == 'Gadget.example.com "g" is invalid: spec: Invalid value: not below 3'
        error = await refused(handler, "create", GADGETS, namespace="default", document=gadget("h", count="x"))
        assert [cause.field for cause in error.causes] == ["spec.count", "<nil>"]
