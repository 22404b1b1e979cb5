"""No configuration and no managedFields a client can send makes an apply fail: it is refused or done."""

import copy
import json
import random

import pytest

from control.apiserver.harness import ADMIN, local_api
from control.apiserver.resources.kinds import KINDS
from control.apiserver.running import run
from control.apiserver.seeds import SEEDS
from control.apiserver.test_hostile_documents import mutilate
from minik8s.api.errors import StatusError
from minik8s.api.request import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, Request
from minik8s.control.apiserver import ownership, patch, schema

NOW = "2026-01-01T00:00:00Z"


def request(body, content_type=APPLY_PATCH, **query):
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    query = {"fieldManager": "me", "force": "true"} | query
    return Request("patch", "", "v1", "configmaps", "default", "x", "", query, encoded, content_type)


def seed_of(kind):
    seed = copy.deepcopy(SEEDS[kind])
    resource = KINDS[kind]
    seed |= {"apiVersion": resource.api_version, "kind": kind}
    seed["metadata"] = seed.get("metadata", {}) | {"name": "x"}
    return seed


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_mutilated_configurations_are_refused_or_applied(kind):
    resource, rng = KINDS[kind], random.Random(7)
    live, _ = schema.check(seed_of(kind), resource)
    entries = ownership.after_write(resource, resource, request({}), None, [], live, None, NOW)
    assert not entries or entries[0]["fieldsV1"]
    done = 0
    for _ in range(60):
        config = seed_of(kind)
        mutilate(config, rng)
        asked = request(config)
        try:
            given, _ = patch.parse_config(asked, resource, "Warn")
            applied, owned = ownership.after_apply(resource, resource, asked, live, entries, given, NOW)
            schema.check(copy.deepcopy(applied), resource)
            again = ownership.after_apply(resource, resource, asked, applied, owned, given, NOW)
            assert again == (applied, owned)
            done += 1
        except StatusError as error:
            assert error.code in (400, 409, 422), error
    assert done > 3


BODIES = [
    b"",
    b"null",
    b"[]",
    b"1",
    b"{}",
    b"a: *b",
    b"&a [*a]",
    b"? {}\n: 1",
    b"a: b\n---\nc: d",
    b"\xff\xfe",
    b'{"apiVersion":1,"kind":"ConfigMap"}',
    b'{"apiVersion":"v1","kind":["ConfigMap"]}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":[]}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":1}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{"a":{}}}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"\\ud800"}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"ownerReferences":[{"uid":{}}]}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"ownerReferences":[[]]}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"finalizers":[null]}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    b"apiVersion: v1\nkind: ConfigMap\nmetadata: " + b"{a: " * 5000,
]
OWNERS = [
    {},
    "x",
    [1],
    [{"manager": "x"}],
    [{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:a": 1}}],
    [{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"k:{": {}}}],
    [{"manager": "x", "operation": "Apply", "apiVersion": "v9", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}],
    [{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1"}],
    [{"operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"v:[]": {}, "i:0": {}}}],
    [{"manager": "x", "operation": "Update", "apiVersion": "", "fieldsType": "FieldsV1", "time": "nonsense"}],
]


def test_hostile_bodies_and_owners_are_answered():
    async def scenario():
        async with local_api() as api:
            handler = api.as_user(ADMIN)
            made = Request("create", "", "v1", "configmaps", "default", body=b'{"metadata":{"name":"x"}}')
            await handler.call(made)

            async def code(asked):
                try:
                    return (await handler.call(asked)).code
                except StatusError as error:
                    return error.code

            config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}
            codes = [await code(request(body)) for body in BODIES]
            for owners in OWNERS:
                document = {"metadata": {"managedFields": owners}}
                operation = [{"op": "add", "path": "/metadata/managedFields", "value": owners}]
                for kind, body in (
                    (MERGE_PATCH, document),
                    (STRATEGIC_MERGE_PATCH, document),
                    (JSON_PATCH, operation),
                ):
                    asked = request(body, kind)
                    codes.append(await code(Request(**{f: getattr(asked, f) for f in asked.__slots__} | {"query": {}})))
                    codes.append(await code(request(config)))
            return codes

    assert set(run(scenario())) <= {200, 400, 422}
