"""No document a client can send makes the hooks of a kind fail: what decodes is judged, printed and indexed."""

import contextlib
import copy
import random

import msgspec
import pytest

from control.apiserver.harness import ADMIN, local_api
from control.apiserver.resources.kinds import KINDS
from control.apiserver.running import run
from control.apiserver.seeds import SEEDS
from control.apiserver.test_recorded import attributes_of
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver import schema
from minik8s.control.apiserver.admission import CHAIN
from minik8s.control.apiserver.allocation import ServiceAddresses
from minik8s.control.apiserver.printers import table
from minik8s.control.apiserver.resources.objectmeta import validate_metadata

VALUES = [
    "",
    "a",
    "-",
    "10%",
    "1e400",
    "9" * 400,
    "٣",
    0,
    -1,
    1,
    2**31,
    2**70,
    1.5,
    True,
    None,
    {},
    [],
    [None],
    [{}],
    {"a": {}},
    {"": ""},
]


def places(node, found):
    """Every (collection, key) below a node."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], dict | list):
            places(node[key], found)
    return found


def mutilate(document, rng):
    for _ in range(rng.randint(1, 4)):
        found = places(document, [])
        if not found:
            return
        node, key = rng.choice(found)
        if rng.random() < 0.3:
            del node[key]
        else:
            node[key] = copy.deepcopy(rng.choice(VALUES))


def pass_through(kind, document, old):
    """All that the write path and the readers do to a document of the kind."""
    resource = KINDS[kind]
    checked, _ = schema.check(document, resource, "Warn")
    again, warnings = schema.check(checked, resource, "Strict")
    assert (again, warnings) == (checked, []), "what was stored would be refused"
    updated = copy.deepcopy(checked)
    resource.default(updated)
    resource.prepare_update(updated, old)
    created = copy.deepcopy(checked)
    resource.prepare_create(created)
    resource.default(created)
    for made in (created, updated):
        twice = copy.deepcopy(made)
        resource.default(twice)
        assert twice == made, "a write that changes nothing would change something"
    for made, before in ((created, None), (updated, old)):
        attributes = attributes_of(kind, old=before, verb="update" if before else "create")
        chain = (*CHAIN, ServiceAddresses(service_cidr="10.96.0.0/16", random=random.Random(1)))
        for plugin in chain:
            run_quietly(plugin.mutate(made, attributes))
        causes = validate_metadata(made["metadata"]) + resource.validate(made)
        if before:
            causes += resource.validate_update(made, before)
        resource.claims(made)
        if not causes:
            for plugin in chain:
                run_quietly(plugin.validate(made, attributes))
            resource.fields(made)
            msgspec.json.decode(msgspec.json.encode(made), type=resource.model)  # as typed readers do
            table(resource, [{**made, "status": checked.get("status", {})}], now_s=1e9)


def run_quietly(coroutine):
    """Plugins may refuse; they may not fail. None of them waits for anything."""
    with contextlib.suppress(StatusError, StopIteration):
        coroutine.send(None)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_mutilated_documents_are_refused_or_handled(kind):
    rng = random.Random(20)
    handled = 0
    seed = copy.deepcopy(SEEDS[kind])
    seed["metadata"] = {"name": "x", **seed.get("metadata", {})}
    old, _ = schema.check(seed, KINDS[kind])
    KINDS[kind].default(old)
    for _ in range(100):
        document = copy.deepcopy(seed)
        mutilate(document, rng)
        if not isinstance(document.get("metadata"), dict) or not document["metadata"].get("name"):
            document["metadata"] = {"name": "x"}
        try:
            pass_through(kind, document, copy.deepcopy(old))
            handled += 1
        except StatusError as error:
            assert error.code in (400, 422), error
    assert handled > 15


@pytest.mark.parametrize("depth", [150, 300, 800, 5000, 100_000])
@pytest.mark.parametrize(
    ("verb", "content_type", "body"),
    [
        ("create", "application/json", '{"metadata":{"managedFields":[{"fieldsV1":%s}]}}'),
        ("update", "application/json", '{"metadata":{"name":"x","managedFields":[{"fieldsV1":%s}]}}'),
        ("patch", "application/merge-patch+json", '{"metadata":{"annotations":%s}}'),
        ("patch", "application/strategic-merge-patch+json", '{"metadata":{"annotations":%s}}'),
        ("patch", "application/json-patch+json", '[{"op":"add","path":"/metadata/annotations","value":%s}]'),
        ("delete", "application/json", '{"preconditions":%s}'),
    ],
)
def test_bodies_however_deep_are_answered(verb, content_type, body, depth):
    async def scenario():
        async with local_api() as api:
            handler = api.as_user(ADMIN)
            made = Request("create", "", "v1", "configmaps", "default", body=b'{"metadata":{"name":"x"}}')
            await handler.call(made)
            name = "" if verb == "create" else "x"
            deep = body % ('{"a":' * depth + "1" + "}" * depth)
            request = Request(
                verb, "", "v1", "configmaps", "default", name, body=deep.encode(), content_type=content_type
            )
            try:
                return (await handler.call(request)).code
            except StatusError as error:
                return error.code

    assert run(scenario()) in (200, 400, 422)
