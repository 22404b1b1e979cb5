"""Kinds in two versions: what is written in one is read in the other, and nothing is lost on the way."""

import copy
import json

import pytest

from control.apiserver.harness import ADMIN, local_api, scenario
from control.apiserver.seeds import SEEDS
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver import schema
from minik8s.control.apiserver.resources import ALL
from minik8s.control.apiserver.resources.event_v1 import EVENTS_V1
from minik8s.control.apiserver.resources.horizontalpodautoscaler_v1 import HORIZONTALPODAUTOSCALERS_V1, from_v2, to_v2

CONVERTED = [resource for resource in ALL if resource.conversion]
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
AUTOSCALER = {
    "metadata": {"name": "web"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 5},
}


@pytest.mark.parametrize("resource", CONVERTED, ids=lambda item: item.api_version)
def test_the_way_there_and_back_loses_nothing(resource):
    stored = resource.conversion.stored
    document, _ = schema.check({"metadata": {"name": "x"}} | SEEDS[resource.kind], stored, "Strict")
    stored.default(document)
    shown = resource.conversion.from_stored(copy.deepcopy(document))
    named = {key: value for key, value in shown.items() if value is not None}
    named |= {"kind": resource.kind, "apiVersion": resource.api_version}
    schema.check(named, resource, "Strict")
    back = {"status": {}} | resource.conversion.to_stored(shown)
    assert {k: v for k, v in back.items() if k not in ("kind", "apiVersion")} == {"status": {}} | {
        k: v for k, v in document.items() if k not in ("kind", "apiVersion")
    } | {"status": back["status"]}


@pytest.mark.parametrize("resource", CONVERTED, ids=lambda item: item.api_version)
def test_both_versions_print_the_same_row(resource):
    stored = resource.conversion.stored
    document, _ = schema.check({"metadata": {"name": "x"}} | SEEDS[resource.kind], stored)
    stored.default(document)
    assert resource.row(resource.conversion.from_stored(document), 1e9) == stored.row(document, 1e9)


def test_one_utilization_of_cpu_is_a_field_and_all_else_an_annotation():
    other = {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "Value", "averageValue": "1"}}}
    document = copy.deepcopy(AUTOSCALER)
    document["spec"] |= {"metrics": [CPU, other], "behavior": {"scaleDown": {"selectPolicy": "Max"}}}
    shown = from_v2(document)
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 80
    assert json.loads(shown["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"]) == [other]
    assert to_v2(shown)["spec"] == document["spec"]
    assert "annotations" not in to_v2(shown)["metadata"]


async def call(handler, verb, version, name="", document=None, subresource="", **fields):
    body = json.dumps(document).encode() if document is not None else b""
    request = Request(
        verb, "autoscaling", version, "horizontalpodautoscalers", "default", name, subresource, body=body, **fields
    )
    return json.loads((await handler.call(request)).body)


@scenario
async def test_an_autoscaler_is_one_object_in_two_versions():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        given = copy.deepcopy(AUTOSCALER)
        given["spec"]["targetCPUUtilizationPercentage"] = 70
        made = await call(handler, "create", "v1", document=given)
        # As kube-apiserver 1.36.2 answered `kubectl autoscale`.
        assert (made["apiVersion"], made["spec"]) == ("autoscaling/v1", given["spec"] | {"minReplicas": 1})
        assert made["status"] == {"currentReplicas": 0, "desiredReplicas": 0}
        newer = await call(handler, "get", "v2", "web")
        assert newer["apiVersion"] == "autoscaling/v2"
        assert newer["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
        watch = await handler.watch(
            Request("watch", "autoscaling", "v1", "horizontalpodautoscalers", "default", query={"resourceVersion": "0"})
        )
        events = aiter(watch)
        first = await anext(events)
        assert (first.type, json.loads(first.object)["spec"]) == ("ADDED", made["spec"])
        patch = {"spec": {"targetCPUUtilizationPercentage": 60}}
        kind = "application/merge-patch+json"
        patched = await call(handler, "patch", "v1", "web", patch, content_type=kind)
        assert patched["spec"]["targetCPUUtilizationPercentage"] == 60
        second = await anext(events)
        assert json.loads(second.object)["spec"] == patched["spec"]
        await watch.close()
        status = {"metadata": {"name": "web"}, "status": {"currentReplicas": 3, "desiredReplicas": 4}, "spec": {}}
        updated = await call(handler, "update", "v1", "web", status | {"spec": patched["spec"]}, "status")
        assert updated["status"] == status["status"]
        listed = await call(handler, "list", "v1")
        assert listed["apiVersion"] == "autoscaling/v1"
        assert [item["apiVersion"] for item in listed["items"]] == ["autoscaling/v1"]
        same = await call(handler, "update", "v1", "web", updated)
        assert same["metadata"]["resourceVersion"] == updated["metadata"]["resourceVersion"]
        gone = await call(handler, "delete", "v1", "web")
        assert gone["status"] == "Success"


@pytest.mark.parametrize("text", ["5", "[5]", "{", '{"scaleUp":7}', '[{"type":9}]', "[" * 300])
@pytest.mark.parametrize("name", ["metrics", "behavior", "conditions", "current-metrics"])
def test_annotations_that_are_not_ours_are_refused_or_ignored(name, text):
    @scenario
    async def attempt():
        async with local_api() as api:
            given = copy.deepcopy(AUTOSCALER)
            given["metadata"]["annotations"] = {f"autoscaling.alpha.kubernetes.io/{name}": text}
            try:
                await call(api.as_user(ADMIN), "create", "v1", document=given)
            except StatusError as error:
                assert error.code in (400, 422)

    attempt()


@scenario
async def test_an_event_is_the_same_in_its_own_group():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        event = {
            "metadata": {"name": "e", "namespace": "default"},
            "eventTime": "2026-11-20T10:00:00.000000Z",
            "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
            "note": "hello",
            "reason": "Because",
            "type": "Normal",
            "action": "Looking",
            "reportingController": "c",
            "reportingInstance": "i",
        }
        made = json.loads((await handler.call(_events("create", EVENTS_V1.group, event))).body)
        assert {name: made[name] for name in event if name != "metadata"} == {
            name: value for name, value in event.items() if name != "metadata"
        }
        core = json.loads((await handler.call(_events("get", "", name="e"))).body)
        assert (core["kind"], core["apiVersion"], core["message"]) == ("Event", "v1", "hello")
        assert (core["involvedObject"]["name"], core["reportingComponent"]) == ("p", "c")


def _events(verb, group, document=None, name=""):
    body = json.dumps(document).encode() if document else b""
    return Request(verb, group, "v1", "events", "default", name, body=body)


def test_versions_that_are_not_stored_share_the_place_of_the_stored_one():
    for resource in CONVERTED:
        assert resource.storage_prefix == resource.conversion.stored.storage_prefix
    assert HORIZONTALPODAUTOSCALERS_V1 in CONVERTED
