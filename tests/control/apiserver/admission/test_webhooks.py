"""Webhooks, asked over real TLS: who is asked, what they are shown, what becomes of what they say or fail to say."""

import asyncio
import base64
import json
from dataclasses import replace

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from control.apiserver.harness import ADMIN, local_api, local_core, scenario
from control.apiserver.test_pipeline import DEPLOYMENT, POD, Client, refused
from minik8s.api.request import JSON, Request
from minik8s.control.apiserver.admission.dynamic import review
from minik8s.control.apiserver.admission.dynamic.metrics import HookMetrics
from minik8s.kit import tls

from .webhook_server import answer, saying, webhook_server

ANY = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
PODS = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE", "UPDATE", "DELETE"]}
CONFIG_MAP = {"metadata": {"name": "a"}, "data": {"k": "v"}}
CONFIG_MAPS = PODS | {"resources": ["configmaps"]}
BINDING = {"target": {"name": "n1"}}


async def install(api, kind, *webhooks, name="hooks"):
    """Create a configuration, and wait until the cache has it."""
    hooks = [
        {"name": f"h{index}.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 5}
        | hook
        for index, hook in enumerate(webhooks)
    ]
    plural = f"{kind}webhookconfigurations"
    body = json.dumps({"metadata": {"name": name}, "webhooks": hooks}).encode()
    handler = api.as_user(ADMIN)
    made = await handler.call(Request("create", "admissionregistration.k8s.io", "v1", plural, body=body))
    await api.reader.list(
        api.find("admissionregistration.k8s.io", "v1", plural),
        Request("list", "admissionregistration.k8s.io", "v1", plural),
    )
    return made


def world(test):
    """A test with an API and a webhook server."""

    @scenario
    async def run(tmp_path):
        async with local_api() as api, webhook_server(tmp_path) as server:
            await test(api, Client(api), server)

    run.__name__ = test.__name__
    return run


@world
async def test_a_webhook_may_refuse(api, client, server):
    server.handlers["/no"] = saying(allowed=False, status={"message": "not today", "code": 403, "reason": "Forbidden"})
    await install(api, "validating", {"clientConfig": server.config("/no"), "rules": [CONFIG_MAPS]})
    error = await refused(client.create("configmaps", CONFIG_MAP))
    assert (error.code, error.reason) == (403, "Forbidden")
    assert error.message == 'admission webhook "h0.example.com" denied the request: not today'
    await client.create("secrets", {"metadata": {"name": "a"}})
    assert len(server.reviews) == 1


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (None, 400, "without explanation"),
        ({"reason": "Because"}, 400, ": Because"),
        ({"code": 200, "message": "x"}, 400, ": x"),
        ({"code": 422, "message": "y"}, 422, ": y"),
    ],
)
def test_refusals_have_upstreams_words(status, code, message):
    error = review.denial("w.example.com", status)
    assert error.code == code
    assert error.message.endswith(message)
    assert error.status()["status"] == "Failure"


@world
async def test_a_webhook_is_shown_the_whole_request(api, client, server):
    server.handlers["/see"] = saying()
    await install(api, "validating", {"clientConfig": server.config("/see"), "rules": [CONFIG_MAPS]})
    await client.create("configmaps", CONFIG_MAP, fieldManager="me")
    await client.patch("configmaps", "a", {"data": {"k": "w"}})
    await client.call("delete", "configmaps", "a")
    create, update, delete = server.asked("/see")
    kind, resource = ({"group": "", "version": "v1", "kind": "ConfigMap"}, {"group": "", "version": "v1"})
    assert create["kind"] == create["requestKind"] == kind
    assert create["resource"] == resource | {"resource": "configmaps"}
    assert (create["operation"], create["name"], create["namespace"]) == ("CREATE", "a", "default")
    assert create["userInfo"]["username"] == "kubernetes-admin"
    assert create["object"]["data"] == {"k": "v"}
    assert create["object"]["kind"] == "ConfigMap"
    assert "oldObject" not in create
    assert create["dryRun"] is False
    assert create["options"] == {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"}
    assert update["operation"] == "UPDATE"
    assert (update["oldObject"]["data"], update["object"]["data"]) == ({"k": "v"}, {"k": "w"})
    assert update["options"]["kind"] == "PatchOptions"
    assert delete["operation"] == "DELETE"
    assert "object" not in delete
    assert delete["oldObject"]["data"] == {"k": "w"}


@world
async def test_mutating_webhooks_are_asked_in_order_and_see_each_others_changes(api, client, server):
    async def append(request):
        value = request["object"]["data"]["k"] + "!"
        return answer(request, patch=[{"op": "replace", "path": "/data/k", "value": value}])

    server.handlers |= {"/a": append, "/b": append}
    hooks = [{"clientConfig": server.config(path), "rules": [CONFIG_MAPS]} for path in ("/a", "/b")]
    await install(api, "mutating", hooks[1], name="z-second")
    await install(api, "mutating", hooks[0], name="a-first")
    made = await client.create("configmaps", CONFIG_MAP)
    assert made["data"] == {"k": "v!!"}
    assert [path for path, _ in server.reviews] == ["/a", "/b"]
    assert (await client.call("get", "configmaps", "a"))["data"] == {"k": "v!!"}


@world
async def test_a_webhook_is_asked_again_if_it_wants_to_see_what_others_changed(api, client, server):
    async def count(request):
        return answer(request, patch=[])

    label = [{"op": "add", "path": "/metadata/labels", "value": {"by": "b"}}]
    server.handlers |= {"/a": count, "/b": saying(patch=label), "/c": count}
    await install(
        api,
        "mutating",
        {"clientConfig": server.config("/a"), "rules": [CONFIG_MAPS], "reinvocationPolicy": "IfNeeded"},
        {"clientConfig": server.config("/b"), "rules": [CONFIG_MAPS], "reinvocationPolicy": "IfNeeded"},
        {"clientConfig": server.config("/c"), "rules": [CONFIG_MAPS], "reinvocationPolicy": "IfNeeded"},
    )
    await client.create("configmaps", CONFIG_MAP)
    assert [path for path, _ in server.reviews] == ["/a", "/b", "/c", "/a"]
    assert server.asked("/a")[1]["object"]["metadata"]["labels"] == {"by": "b"}


@world
async def test_plugins_look_again_at_what_webhooks_changed(api, client, server):
    sidecar = [{"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "s"}}]
    server.handlers["/side"] = saying(patch=sidecar)
    limits = {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}
    await client.create("limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [limits]}})
    await install(api, "mutating", {"clientConfig": server.config("/side"), "rules": [PODS]})
    made = await client.create("pods", POD)
    assert [each["name"] for each in made["spec"]["containers"]] == ["c", "side"]
    assert made["spec"]["containers"][1]["terminationMessagePath"] == "/dev/termination-log"  # defaults too
    assert made["spec"]["containers"][1]["resources"]["limits"] == {"cpu": "1"}


@world
async def test_what_webhooks_change_is_validated(api, client, server):
    server.handlers["/bad"] = saying(patch=[{"op": "replace", "path": "/spec/containers/0/name", "value": "No Name"}])
    server.handlers["/odd"] = saying(patch=[{"op": "add", "path": "/spec/containers/0/ports", "value": 7}])
    server.handlers["/gone"] = saying(patch=[{"op": "remove", "path": "/spec/nope"}])
    for path, code in (("/bad", 422), ("/odd", 500), ("/gone", 500)):
        name = f"x{path[1:]}"
        await install(api, "mutating", {"clientConfig": server.config(path), "rules": [PODS]}, name=name)
        error = await refused(client.create("pods", POD))
        assert error.code == code, error.message
        await api.as_user(ADMIN).call(
            Request("delete", "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", name=name)
        )
        await asyncio.sleep(0.05)


@world
async def test_warnings_and_annotations_are_passed_on_even_with_a_refusal(api, client, server):
    server.handlers["/warn"] = saying(warnings=["careful"], auditAnnotations={"key": "value"})
    server.handlers["/no"] = saying(allowed=False)
    await install(api, "mutating", {"clientConfig": server.config("/warn"), "rules": [CONFIG_MAPS]})
    await client.create("configmaps", CONFIG_MAP)
    assert client.response.warnings == ("careful",)
    body = json.dumps(CONFIG_MAP | {"metadata": {"name": "b"}}).encode()
    request = Request("create", "", "v1", "configmaps", "default", body=body)
    await api.as_user(ADMIN).call(request)
    assert request.annotations["h0.example.com/key"] == "value"
    said = json.loads(request.annotations["mutation.webhook.admission.k8s.io/round_0_index_0"])
    assert said == {"configuration": "hooks", "webhook": "h0.example.com", "mutated": False}
    await install(api, "validating", {"clientConfig": server.config("/no"), "rules": [CONFIG_MAPS]})
    error = await refused(client.create("configmaps", CONFIG_MAP | {"metadata": {"name": "c"}}))
    assert error.warnings == ("careful",)


async def _slow(request):
    await asyncio.sleep(30)


async def _text(request):
    return web.Response(text="<html>")


async def _error(request):
    return web.Response(status=500, text="boom")


async def _missing(request):
    return web.Response(status=404)


async def _elsewhere(request):
    raise web.HTTPFound("https://127.0.0.1:1/")


async def _huge(request):
    return web.Response(body=b'{"x": "' + b"x" * (4 * 1024 * 1024) + b'"}')


async def _stranger(request):
    return answer({"uid": "another"})


async def _nothing(request):
    return web.json_response({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"})


async def _old(request):
    body = {"uid": request["uid"], "allowed": True}
    return web.json_response({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1", "response": body})


async def _untyped(request):
    body = {"uid": request["uid"], "allowed": True, "patch": base64.b64encode(b"[]").decode()}
    return web.json_response({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": body})


async def _cut(request):
    response = web.Response(body=b"x", headers={"Connection": "close"})
    response.force_close()
    return response


GARBAGE = {
    "slow": (_slow, "context deadline exceeded"),
    "text": (_text, "received invalid webhook response: couldn't get version/kind"),
    "error": (
        _error,
        'an error on the server ("boom") has prevented the request from succeeding',
    ),
    "missing": (_missing, "failed to call webhook: the server could not find the requested resource"),
    "redirect": (_elsewhere, "has prevented the request from succeeding"),
    "huge": (_huge, "is larger than"),
    "stranger": (_stranger, 'got "another"'),
    "nothing": (_nothing, "received invalid webhook response: webhook response was absent"),
    "old": (_old, "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got"),
    "untyped": (_untyped, "webhook returned response.patch but not response.patchType"),
    "cut": (_cut, "couldn't get version/kind"),
}


@pytest.mark.parametrize("how", GARBAGE)
@scenario
async def test_a_webhook_that_fails_refuses_or_is_passed_over(tmp_path, how):
    handler, message = GARBAGE[how]
    async with local_api() as api, webhook_server(tmp_path) as server:
        client = Client(api)
        server.handlers["/x"] = handler
        hook = {"clientConfig": server.config("/x"), "rules": [CONFIG_MAPS], "timeoutSeconds": 1}
        await install(api, "mutating", hook)
        error = await refused(client.create("configmaps", CONFIG_MAP))
        assert (error.code, error.reason) == (500, "InternalError")
        assert error.message.startswith('Internal error occurred: failed calling webhook "h0.example.com": ')
        assert message in error.message
        await _relax(api, "mutating")
        body = json.dumps(CONFIG_MAP).encode()
        request = Request("create", "", "v1", "configmaps", "default", body=body)
        await api.as_user(ADMIN).call(request)
        name = "failed-open.mutation.webhook.admission.k8s.io/round_0_index_0"
        assert request.annotations[name] == "h0.example.com"


async def _relax(api, kind):
    """Let failures of the webhook pass."""
    plural = f"{kind}webhookconfigurations"
    operation = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
    await api.as_user(ADMIN).call(
        Request(
            "patch",
            "admissionregistration.k8s.io",
            "v1",
            plural,
            name="hooks",
            body=json.dumps(operation).encode(),
            content_type="application/json-patch+json",
        )
    )
    resource = api.find("admissionregistration.k8s.io", "v1", plural)
    await api.reader.list(resource, Request("list", "admissionregistration.k8s.io", "v1", plural))


@world
async def test_a_certificate_must_be_of_the_bundles_authority_and_name_the_host(api, client, server):
    server.handlers["/x"] = saying()
    await install(api, "validating", {"clientConfig": {"url": server.config("/x")["url"]}, "rules": [CONFIG_MAPS]})
    error = await refused(client.create("configmaps", CONFIG_MAP))
    assert "tls: failed to verify certificate: x509: certificate signed by unknown authority" in error.message
    assert server.reviews == []


@scenario
async def test_a_server_of_another_name_is_not_asked(tmp_path):
    async with local_api() as api, webhook_server(tmp_path, hosts=("other.example.com",)) as server:
        server.handlers["/x"] = saying()
        await install(api, "validating", {"clientConfig": server.config("/x"), "rules": [CONFIG_MAPS]})
        error = await refused(Client(api).create("configmaps", CONFIG_MAP))
        assert "x509: certificate is not valid for" in error.message


@world
async def test_nobody_there(api, client, server):
    hook = {"clientConfig": server.config("/x") | {"url": "https://127.0.0.1:1/x"}, "rules": [CONFIG_MAPS]}
    await install(api, "validating", hook)
    error = await refused(client.create("configmaps", CONFIG_MAP))
    assert error.message == (
        'Internal error occurred: failed calling webhook "h0.example.com": failed to call webhook: '
        'Post "https://127.0.0.1:1/x?timeout=5s": dial tcp 127.0.0.1:1: connect: connection refused'
    )


@scenario
async def test_a_service_is_reached_at_its_ready_endpoints_under_its_name(tmp_path):
    async with local_api() as api, webhook_server(tmp_path, hosts=("hook.default.svc",)) as server:
        client = Client(api)
        server.handlers["/v"] = saying(allowed=False)
        config = {"service": {"name": "hook", "namespace": "default", "path": "/v"}, "caBundle": server.ca_bundle}
        await install(api, "validating", {"clientConfig": config, "rules": [CONFIG_MAPS]})
        error = await refused(client.create("configmaps", CONFIG_MAP))
        assert error.message.endswith('failed to call webhook: service "hook" not found')
        ports = [{"port": 443, "targetPort": server.port}]
        await client.create("services", {"metadata": {"name": "hook"}, "spec": {"ports": ports}})
        error = await refused(client.create("configmaps", CONFIG_MAP))
        assert error.message.endswith('no endpoints available for service "hook"')
        piece = {
            "metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.9.9.9"], "conditions": {"ready": False}},
                {"addresses": ["127.0.0.1"], "conditions": {"ready": True}},
            ],
            "ports": [{"name": "", "port": server.port, "protocol": "TCP"}],
        }
        group = "discovery.k8s.io"
        body = json.dumps(piece).encode()
        await api.as_user(ADMIN).call(Request("create", group, "v1", "endpointslices", "default", body=body))
        await api.reader.list(api.find(group, "v1", "endpointslices"), Request("list", group, "v1", "endpointslices"))
        error = await refused(client.create("configmaps", CONFIG_MAP))
        assert error.message == 'admission webhook "h0.example.com" denied the request without explanation'


SELECTED = [
    ({"objectSelector": {"matchLabels": {"a": "b"}}}, {"a": "b"}, True),
    ({"objectSelector": {"matchLabels": {"a": "b"}}}, {"a": "c"}, False),
    ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}, {}, True),
    ({"namespaceSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}, {}, False),
    ({"rules": [CONFIG_MAPS | {"scope": "Cluster"}]}, {}, False),
    ({"rules": [CONFIG_MAPS | {"scope": "Namespaced"}]}, {}, True),
    ({"rules": [CONFIG_MAPS | {"operations": ["UPDATE"]}]}, {}, False),
    ({"rules": [CONFIG_MAPS | {"apiVersions": ["v2"]}]}, {}, False),
    ({"rules": [ANY]}, {}, True),
    ({"rules": [ANY | {"resources": ["*/*"]}]}, {}, True),
    ({"rules": [ANY | {"resources": ["configmaps/*"]}]}, {}, True),
    ({"rules": [ANY | {"resources": ["configmaps/status"]}]}, {}, False),
    ({"matchConditions": [{"name": "c", "expression": "object.data.k == 'v'"}]}, {}, True),
    ({"matchConditions": [{"name": "c", "expression": "object.data.k == 'w'"}]}, {}, False),
    (
        {"matchConditions": [{"name": "c", "expression": "request.dryRun || oldObject != null"}]},
        {},
        False,
    ),
    (
        {
            "matchConditions": [
                {"name": "fails", "expression": "object.data.nope == 'w'"},
                {"name": "false", "expression": "request.userInfo.username == 'nobody'"},
            ]
        },
        {},
        False,
    ),
    (
        {"matchConditions": [{"name": "c", "expression": "authorizer.group('').resource('a').check('get').allowed()"}]},
        {},
        True,
    ),
    (
        {"matchConditions": [{"name": "c", "expression": "!authorizer.requestResource.check('delete').allowed()"}]},
        {},
        False,
    ),
]


@pytest.mark.parametrize(("given", "labels", "is_asked"), SELECTED, ids=range(len(SELECTED)))
@scenario
async def test_who_is_asked(tmp_path, given, labels, is_asked):
    async with local_api() as api, webhook_server(tmp_path) as server:
        server.handlers["/x"] = saying()
        await install(api, "validating", {"clientConfig": server.config("/x"), "rules": [CONFIG_MAPS]} | given)
        await Client(api).create("configmaps", CONFIG_MAP | {"metadata": {"name": "a", "labels": labels}})
        assert bool(server.reviews) is is_asked


@world
async def test_a_match_condition_that_fails_refuses(api, client, server):
    conditions = [{"name": "c", "expression": "object.nope == 1"}]
    hook = {"clientConfig": server.config("/x"), "rules": [CONFIG_MAPS], "matchConditions": conditions}
    await install(api, "validating", hook)
    error = await refused(client.create("configmaps", CONFIG_MAP))
    assert error.code == 403
    assert "expression 'object.nope == 1' resulted in error: no such key: nope" in error.message


@world
async def test_an_equivalent_version_is_what_the_webhook_understands(api, client, server):
    server.handlers["/v2"] = saying()
    rule = {"apiGroups": ["autoscaling"], "apiVersions": ["v2"], "resources": ["*"], "operations": ["*"]}
    exact = {"clientConfig": server.config("/exact"), "rules": [rule], "matchPolicy": "Exact"}
    await install(api, "validating", {"clientConfig": server.config("/v2"), "rules": [rule]}, exact)
    target = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
    scaler = {"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "scaleTargetRef": target}}
    scaler["spec"]["targetCPUUtilizationPercentage"] = 50
    body = json.dumps(scaler).encode()
    await api.as_user(ADMIN).call(
        Request("create", "autoscaling", "v1", "horizontalpodautoscalers", "default", body=body, content_type=JSON)
    )
    (request,) = server.asked("/v2")
    assert server.asked("/exact") == []
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v2", "v1")
    assert request["object"]["apiVersion"] == "autoscaling/v2"
    assert request["object"]["spec"]["metrics"][0]["resource"]["name"] == "cpu"


@world
async def test_subresources_are_shown_as_what_they_are(api, client, server):
    double = [{"op": "replace", "path": "/spec/replicas", "value": 4}]
    server.handlers |= {"/scale": saying(patch=double), "/bind": saying()}
    rules = [ANY | {"resources": ["deployments/scale"]}]
    await install(api, "mutating", {"clientConfig": server.config("/scale"), "rules": rules})
    rules = [ANY | {"resources": ["pods/binding"]}]
    await install(api, "validating", {"clientConfig": server.config("/bind"), "rules": rules})
    await client.create("deployments", DEPLOYMENT)
    scaled = await client.patch("deployments", "a", {"spec": {"replicas": 2}}, sub="scale")
    assert scaled["spec"]["replicas"] == 4
    assert (await client.call("get", "deployments", "a"))["spec"]["replicas"] == 4
    (request,) = server.asked("/scale")
    assert (request["kind"]["kind"], request["subResource"]) == ("Scale", "scale")
    assert (request["object"]["spec"], request["oldObject"]["spec"]) == ({"replicas": 2}, {"replicas": 1})
    await client.create("pods", POD)
    await client.call("create", "pods", "a", BINDING, sub="binding")
    (request,) = server.asked("/bind")
    assert request["object"]["target"] == {"name": "n1"}


@world
async def test_evictions_are_asked_about_as_evictions(api, client, server):
    server.handlers["/evict"] = saying(allowed=False)
    rules = [ANY | {"resources": ["pods/eviction"]}]
    await install(api, "validating", {"clientConfig": server.config("/evict"), "rules": rules})
    await client.create("pods", POD)
    eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "a", "namespace": "default"}}
    error = await refused(client.call("create", "pods", "a", eviction, sub="eviction"))
    assert "denied the request" in error.message
    (request,) = server.asked("/evict")
    assert request["kind"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
    assert (request["operation"], request["object"]["metadata"]["name"]) == ("CREATE", "a")


@world
async def test_requests_that_are_passed_on_are_asked_about(api, client, server):
    server.handlers["/x"] = saying(allowed=False)
    rule = ANY | {"resources": ["services/proxy"], "operations": ["CONNECT"]}
    await install(api, "validating", {"clientConfig": server.config("/x"), "rules": [rule]})
    request = Request("get", "", "v1", "services", "default", "https:web:443", "proxy")
    options = {"kind": "ServiceProxyOptions", "apiVersion": "v1", "path": "/healthz"}
    error = await refused(api.as_user(ADMIN).connect(request, options))
    assert "denied the request" in error.message
    (asked,) = server.asked("/x")
    assert (asked["operation"], asked["subResource"], asked["object"]) == ("CONNECT", "proxy", options)
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "ServiceProxyOptions"}
    assert "options" not in asked
    await api.as_user(ADMIN).connect(replace(request, resource="pods", name="a"), options | {"kind": "PodProxyOptions"})


@scenario
async def test_calls_are_counted_under_upstreams_names(tmp_path):
    registry = CollectorRegistry()
    async with local_core() as core, webhook_server(tmp_path) as server:
        core.hook_observers.append(HookMetrics(registry).called)
        client = Client(core.api)
        server.handlers |= {"/no": saying(allowed=False), "/yes": saying(), "/broken": _error}
        hooks = [{"clientConfig": server.config(path), "rules": [CONFIG_MAPS]} for path in ("/yes", "/broken")]
        await install(core.api, "mutating", hooks[0], hooks[1] | {"failurePolicy": "Ignore"})
        await install(core.api, "validating", {"clientConfig": server.config("/no"), "rules": [CONFIG_MAPS]})
        await refused(client.create("configmaps", CONFIG_MAP))
    shown = generate_latest(registry).decode()
    prefix, place = "apiserver_admission_webhook", 'operation="CREATE"'
    for line in (
        f'{prefix}_admission_duration_seconds_count{{name="h0.example.com",{place},rejected="false",type="admit"}} 1.0',
        f'{prefix}_request_total{{code="400",name="h0.example.com",{place},rejected="true",type="validating"}} 1.0',
        f'{prefix}_fail_open_count{{name="h1.example.com",type="admit"}} 1.0',
        f'{prefix}_rejection_count{{error_type="no_error",name="h0.example.com",{place},rejection_code="400",'
        'type="validating"} 1.0',
    ):
        assert line in shown, shown


@world
async def test_dry_runs_are_for_webhooks_without_side_effects_and_told_to_them(api, client, server):
    server.handlers["/x"] = saying()
    await install(api, "validating", {"clientConfig": server.config("/x"), "rules": [CONFIG_MAPS]})
    await client.create("configmaps", CONFIG_MAP, dryRun="All")
    (request,) = server.asked("/x")
    assert request["dryRun"] is True
    assert request["options"]["dryRun"] == ["All"]


@world
async def test_the_configuration_of_admission_is_always_within_reach(api, client, server):
    server.handlers["/x"] = saying(allowed=False)
    await install(api, "validating", {"clientConfig": server.config("/x"), "rules": [ANY]})
    await install(api, "mutating", {"clientConfig": server.config("/x"), "rules": [ANY]})
    assert server.reviews == []
    group = "admissionregistration.k8s.io"
    for kind in ("validating", "mutating"):
        await api.as_user(ADMIN).call(Request("delete", group, "v1", f"{kind}webhookconfigurations", name="hooks"))
        await asyncio.sleep(0.05)
    await client.create("configmaps", CONFIG_MAP)


@world
async def test_a_webhook_may_refuse_a_deletion(api, client, server):
    server.handlers["/x"] = saying(allowed=False)
    rule = CONFIG_MAPS | {"operations": ["DELETE"]}
    await install(api, "validating", {"clientConfig": server.config("/x"), "rules": [rule]})
    await client.create("configmaps", CONFIG_MAP)
    error = await refused(client.call("delete", "configmaps", "a"))
    assert "denied the request" in error.message
    await client.call("get", "configmaps", "a")


def test_what_a_bundle_must_be(tmp_path):
    from minik8s.control.apiserver import webhook_client

    authority = tls.Authority(tmp_path)
    good = base64.b64encode(authority.cert_file.read_bytes()).decode()
    assert webhook_client._context(good).verify_mode
    for bad in ("!", base64.b64encode(b"\xff").decode(), base64.b64encode(b"no certificate").decode()):
        with pytest.raises(webhook_client.WebhookFailed, match="unable to parse bytes as PEM block"):
            webhook_client._context(bad)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.fixed_dictionaries(
            {},
            optional={
                "apiVersion": st.sampled_from(["admission.k8s.io/v1", "", 1]),
                "kind": st.sampled_from(["AdmissionReview", None]),
                "response": st.fixed_dictionaries(
                    {},
                    optional={
                        "uid": st.sampled_from(["u", 7]),
                        "allowed": st.sampled_from([True, False, "yes", None]),
                        "status": st.sampled_from(
                            [{}, [], {"code": "x", "message": 1}, {"details": 7}, {"details": {"causes": [1]}}, None]
                        ),
                        "patch": st.sampled_from(["W10=", "!", "e30=", "W1tdXQ==", 7, ""]),
                        "patchType": st.sampled_from(["JSONPatch", "Merge", ""]),
                        "warnings": st.sampled_from([["a"], "a", [1], None]),
                        "auditAnnotations": st.sampled_from([{"a": "b"}, {"a": 1}, []]),
                    },
                ),
            },
        ).map(lambda document: json.dumps(document).encode()),
    )
)
def test_any_answer_is_understood_or_refused(body):
    try:
        said = review.read(body, "u", "v1", is_mutating=True)
    except review.Unusable:
        return
    assert review.denial("x.example.com", said.status).code >= 400
    assert said.patch is None or isinstance(said.patch, list)
