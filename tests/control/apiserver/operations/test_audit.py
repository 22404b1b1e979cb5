"""The audit log: which rule decides, what a line holds, how files are turned over, and that nothing goes unwritten."""

import asyncio
import json
import stat
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from minik8s.api.request import Request
from minik8s.control.apiserver.audit import policy
from minik8s.control.apiserver.audit.event import Origin
from minik8s.control.apiserver.audit.file import AuditFile, FileConfig
from minik8s.control.apiserver.audit.log import AuditConfig, AuditLog
from minik8s.control.apiserver.audit.policy import Level
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import Attributes, of_request
from minik8s.control.apiserver.calls import Calls, CallsConfig
from minik8s.control.apiserver.metrics import Metrics
from minik8s.kit.clock import SystemClock
from minik8s.kit.run import StartError

from ..harness import scenario

BOB = User("bob", ("dev", "system:authenticated"), "7", {"scopes": ("a", "b")})
ORIGIN = Origin("/api/v1/namespaces/default/secrets/a?x=1", ("127.0.0.1",), "kubectl/v1.31")


def parsed(*rules, **more):
    return policy.parse({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules)} | more)


def asked(verb="get", resource="secrets", **more):
    return Attributes(BOB, verb, version="v1", resource=resource, namespace="default", **({"name": "a"} | more))


PATH = Attributes(BOB, "get", path="/healthz/ping")


@pytest.mark.parametrize(
    ("rule", "attributes", "is_matched"),
    [
        ({}, asked(), True),
        ({"users": ["bob"]}, asked(), True),
        ({"users": ["eve"]}, asked(), False),
        ({"userGroups": ["dev", "ops"]}, asked(), True),
        ({"userGroups": ["ops"]}, asked(), False),
        ({"verbs": ["get", "list"]}, asked(), True),
        ({"verbs": ["list"]}, asked(), False),
        ({"namespaces": ["default"]}, asked(), True),
        ({"namespaces": ["kube-system"]}, asked(), False),
        ({"namespaces": ["default"]}, PATH, False),
        ({"resources": [{"group": ""}]}, asked(), True),
        ({"resources": [{"group": "apps"}]}, asked(), False),
        ({"resources": [{"resources": ["secrets"]}]}, asked(), True),
        ({"resources": [{"resources": ["secrets"]}]}, asked(subresource="status"), False),
        ({"resources": [{"resources": ["secrets/*"]}]}, asked(subresource="status"), True),
        ({"resources": [{"resources": ["*/status"]}]}, asked(subresource="status"), True),
        ({"resources": [{"resources": ["secrets/status"]}]}, asked(subresource="status"), True),
        ({"resources": [{"resources": ["*"]}]}, asked(subresource="status"), True),
        ({"resources": [{"resources": ["secrets"], "resourceNames": ["b"]}]}, asked(), False),
        ({"resources": [{"resources": ["secrets"], "resourceNames": ["a"]}]}, asked(), True),
        ({"nonResourceURLs": ["/healthz*"]}, PATH, True),
        ({"nonResourceURLs": ["*"]}, PATH, True),
        ({"nonResourceURLs": ["/healthz"]}, PATH, False),
        ({"nonResourceURLs": ["*"]}, asked(), False),
    ],
)
def test_a_rule_is_about_what_it_says(rule, attributes, is_matched):
    level = parsed(rule | {"level": "Metadata"}).decide(attributes).level
    assert level is (Level.METADATA if is_matched else Level.NONE)


def test_the_first_rule_that_matches_decides():
    found = parsed({"level": "None", "users": ["bob"]}, {"level": "RequestResponse"})
    assert found.decide(asked()).level is Level.NONE
    assert found.decide(Attributes(User("eve"), "get", resource="pods")).level is Level.REQUEST_RESPONSE


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (None, "is a mapping"),
        ({"kind": "Policy"}, "apiVersion audit.k8s.io/v1"),
        ({"rules": []}, "rules: Required value"),
        ({"rules": [{"level": "metadata"}]}, r"rules\[0\].level: Unsupported value"),
        ({"rules": [{"level": "None", "nonResourceURLs": ["healthz"]}]}, "does not begin with"),
        ({"rules": [{"level": "None", "nonResourceURLs": ["/a*b"]}]}, "only be at the end"),
        ({"rules": [{"level": "None", "nonResourceURLs": ["/a"], "namespaces": ["a"]}]}, "cannot apply to both"),
        ({"rules": [{"level": "None", "users": "bob"}]}, "users: a list of strings"),
        ({"rules": [{"level": "None", "omitStages": ["Never"]}]}, "Unsupported value: 'Never'"),
    ],
)
def test_a_wrong_policy_says_where_it_is_wrong(document, why):
    head = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"} if document and "rules" in document else {}
    with pytest.raises(ValueError, match=why):
        policy.parse(document and head | document)


async def lines(tmp_path, rules, work, **limits):
    """What is written while `work(log)` runs."""
    path = tmp_path / "logs" / "audit.log"
    config = AuditConfig(rules, FileConfig(str(path)), **limits)
    log = AuditLog(config, CollectorRegistry(), clock=SystemClock())
    async with log.writing():
        await work(log)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return [json.loads(line) for line in path.read_text().splitlines()]


def worked(
    body=b'{"kind":"Secret",\n"data":{"k":"dg=="},"metadata":{"managedFields":[1]}}', content_type="application/json"
):
    async def work(log):
        trail = log.begin(asked("update"), ORIGIN, "id-1")
        log.note(trail, "RequestReceived")
        trail.request_body, trail.content_type, trail.response_body = body, content_type, b'{"kind":"Secret"}'
        log.note(trail, "ResponseComplete", 200)

    return work


@pytest.mark.parametrize(
    ("level", "bodies"),
    [("Metadata", []), ("Request", ["requestObject"]), ("RequestResponse", ["requestObject", "responseObject"])],
)
@scenario
async def test_bodies_are_written_only_where_the_policy_says_so(tmp_path, level, bodies):
    received, complete = await lines(tmp_path, parsed({"level": level}), worked())
    assert [name for name in ("requestObject", "responseObject") if name in complete] == bodies
    assert "requestObject" not in received
    assert received["stage"] == "RequestReceived"
    assert complete["user"] == {
        "username": "bob",
        "uid": "7",
        "groups": ["dev", "system:authenticated"],
        "extra": {"scopes": ["a", "b"]},
    }
    assert complete["objectRef"] == {"resource": "secrets", "namespace": "default", "name": "a", "apiVersion": "v1"}
    assert complete["responseStatus"] == {"metadata": {}, "code": 200}
    assert (complete["requestURI"], complete["sourceIPs"], complete["auditID"]) == (ORIGIN.uri, ["127.0.0.1"], "id-1")


@scenario
async def test_what_admission_has_to_say_is_annotated(tmp_path):
    async def work(log):
        calls = Calls(CallsConfig(), Metrics(CollectorRegistry(), lambda request: True), clock=SystemClock(), audit=log)
        request = Request("create", "", "v1", "secrets", "default")
        async with calls.serving(of_request(BOB, request), request, ORIGIN, "id-1"):
            replace(request, body=b"{}").annotations["policy/key"] = "value"

    received, complete = await lines(tmp_path, parsed({"level": "Metadata"}), work)
    assert "annotations" not in received
    assert complete["annotations"] == {"policy/key": "value"}


@scenario
async def test_stages_and_managed_fields_can_be_left_out(tmp_path):
    rules = parsed({"level": "Request"}, omitStages=["RequestReceived"], omitManagedFields=True)
    (event,) = await lines(tmp_path, rules, worked())
    assert event["requestObject"] == {"kind": "Secret", "data": {"k": "dg=="}, "metadata": {}}


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"kind: Secret\n", "application/yaml", {"kind": "Secret"}),
        (b"[[[", "application/yaml", None),
        (b"{", "application/json", None),
    ],
)
@scenario
async def test_any_body_makes_a_line(tmp_path, body, content_type, expected):
    events = await lines(tmp_path, parsed({"level": "Request"}), worked(body, content_type))
    assert events[1].get("requestObject") == expected


@scenario
async def test_an_impersonator_is_named_beside_who_was_meant(tmp_path):
    async def work(log):
        user = User("alice", impersonator=BOB)
        trail = log.begin(Attributes(user, "get", path="/version"), ORIGIN, "id")
        log.note(trail, "ResponseComplete", 403)

    (event,) = await lines(tmp_path, parsed({"level": "Metadata"}), work)
    assert (event["user"]["username"], event["impersonatedUser"]["username"]) == ("bob", "alice")
    assert event["responseStatus"]["code"] == 403


@scenario
async def test_a_full_queue_makes_requests_wait_and_loses_nothing(tmp_path):
    async def work(log):
        async def one(number):
            await log.room()
            log.note(log.begin(asked(), ORIGIN, str(number)), "ResponseComplete", 200)

        await asyncio.gather(*(one(number) for number in range(500)))
        waiting = asyncio.ensure_future(log.room())
        assert not waiting.done()
        await waiting

    events = await lines(tmp_path, parsed({"level": "Metadata"}), work, notes_max=10)
    assert sorted(int(event["auditID"]) for event in events) == list(range(500))


@scenario
async def test_a_place_that_cannot_be_written_is_said_at_the_start(tmp_path):
    (tmp_path / "file").touch()
    config = AuditConfig(parsed({"level": "Metadata"}), FileConfig(str(tmp_path / "file" / "audit.log")))
    with pytest.raises(StartError, match="cannot write the audit log"):
        async with AuditLog(config, CollectorRegistry(), clock=SystemClock()).writing():
            pass


def test_a_full_file_is_turned_over_and_old_ones_go(tmp_path):
    config = FileConfig(str(tmp_path / "audit.log"), size_mb_max=1, backups_max=2)
    file = AuditFile(config)
    for number in range(5):
        file.write(b"x" * 700_000, now_s=1_700_000_000.0 + number)
    file.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["audit-2023-11-14T22-13-23.000.log", "audit-2023-11-14T22-13-24.000.log", "audit.log"]
    aged = AuditFile(FileConfig(str(tmp_path / "audit.log"), size_mb_max=1, age_days_max=1))
    aged.write(b"x" * 700_000, now_s=1_700_000_000.0 + 200_000)
    aged.close()
    assert len(list(tmp_path.iterdir())) == 2


@scenario
async def test_what_is_no_text_is_written_all_the_same(tmp_path):
    hostile = Origin("/api/\udcff", ("127.0.0.1",), "agent \udcfe\ud800")

    async def work(log):
        log.note(log.begin(asked(), hostile, "id"), "ResponseComplete", 200)
        log.note(log.begin(asked(), ORIGIN, "next"), "ResponseComplete", 200)

    first, second = await lines(tmp_path, parsed({"level": "Metadata"}), work)
    assert (first["requestURI"], first["userAgent"], second["auditID"]) == ("/api/?", "agent ??", "next")
