"""Server-side apply of custom objects: ownership follows the lists and maps that their schema declares."""

from typing import Any

import pytest

from control.apiserver.extensions.samples import GADGETS, call, define, definition
from control.apiserver.harness import ADMIN, local_api, scenario
from minik8s.api.errors import StatusError
from minik8s.api.request import APPLY_PATCH

PORT = {
    "type": "object",
    "properties": {
        "port": {"type": "integer"},
        "protocol": {"type": "string", "default": "TCP"},
        "name": {"type": "string"},
    },
    "required": ["port"],
}
SPEC = {
    "ports": {
        "type": "array",
        "items": PORT,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
    },
    "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    "args": {"type": "array", "items": {"type": "string"}},
    "place": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"x": {"type": "integer"}}},
    "limits": {"type": "object", "additionalProperties": {"type": "string"}},
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "replicas": {"type": "integer"},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": SPEC},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    },
}
SUBRESOURCES = {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
VERSION = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}


async def apply(handler: Any, manager: str, document: dict[str, Any], *, subresource: str = "", **query: str) -> Any:
    document = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}} | document
    return await call(
        handler,
        "patch",
        GADGETS,
        namespace="default",
        name="g",
        subresource=subresource,
        document=document,
        content_type=APPLY_PATCH,
        query={"fieldManager": manager} | query,
    )


def owned(document: dict[str, Any], manager: str) -> Any:
    fields = [each["fieldsV1"] for each in document["metadata"]["managedFields"] if each["manager"] == manager]
    return fields[0] if fields else None


@scenario
async def test_lists_and_maps_are_owned_as_the_schema_says():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler, definition(VERSION | {"subresources": SUBRESOURCES}))
        spec = {
            "ports": [{"port": 80, "name": "http"}],
            "tags": ["a"],
            "args": ["x"],
            "place": {"x": 1},
            "limits": {"cpu": "1"},
            "free": {"deep": {"er": 1}, "list": [1]},
        }
        made = await apply(handler, "one", {"spec": spec})
        assert owned(made, "one") == {
            "f:spec": {
                "f:args": {},
                "f:free": {"f:deep": {".": {}, "f:er": {}}, "f:list": {}},
                "f:limits": {"f:cpu": {}},
                "f:place": {},
                "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}},
                "f:tags": {'v:"a"': {}},
            }
        }
        both = await apply(handler, "two", {"spec": {"ports": [{"port": 443}], "tags": ["b"], "limits": {"mem": "2"}}})
        assert [each["port"] for each in both["spec"]["ports"]] == [80, 443]
        assert (both["spec"]["tags"], both["spec"]["limits"]) == (["a", "b"], {"cpu": "1", "mem": "2"})
        left = await apply(handler, "one", {"spec": {"tags": ["a"]}})
        assert left["spec"] == {"ports": [{"port": 443, "protocol": "TCP"}], "tags": ["a", "b"], "limits": {"mem": "2"}}


@scenario
async def test_conflicts_unknown_fields_status_and_scale_are_as_for_built_in_kinds():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler, definition(VERSION | {"subresources": SUBRESOURCES}))
        await apply(handler, "one", {"spec": {"args": ["x"], "replicas": 1}})
        with pytest.raises(StatusError) as caught:
            await apply(handler, "two", {"spec": {"args": ["y"]}})
        assert caught.value.message == 'Apply failed with 1 conflict: conflict with "one": .spec.args'
        with pytest.raises(StatusError) as caught:
            await apply(handler, "two", {"spec": {"what": 1}})
        assert caught.value.message == (
            "failed to create typed patch object (default/g; example.com/v1, Kind=Gadget): "
            ".spec.what: field not declared in schema"
        )
        after = await apply(handler, "ctl", {"status": {"replicas": 1}}, subresource="status")
        assert owned(after, "ctl") == {"f:status": {"f:replicas": {}}}
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 3}}
        await apply(handler, "hpa", scale, subresource="scale", force="true")
        after = await call(handler, "get", GADGETS, namespace="default", name="g")
        assert (after["spec"]["replicas"], owned(after, "hpa")) == (3, {"f:spec": {"f:replicas": {}}})
