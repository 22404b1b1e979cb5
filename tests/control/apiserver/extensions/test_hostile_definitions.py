"""Whatever definition is accepted, no object of its kind makes the server fail: it is refused or handled."""

import copy
import random

import msgspec

from control.apiserver.seeds import DEFINITION
from control.apiserver.test_hostile_documents import VALUES, mutilate, places
from minik8s.api.errors import StatusError
from minik8s.control.apiserver import openapi, schema
from minik8s.control.apiserver.extensions import naming
from minik8s.control.apiserver.extensions.conversion import Renaming
from minik8s.control.apiserver.extensions.customkind import resources_of
from minik8s.control.apiserver.extensions.subresources import view_of
from minik8s.control.apiserver.printers import table
from minik8s.control.apiserver.resources.customresourcedefinition import CUSTOMRESOURCEDEFINITIONS

OBJECT = {
    "apiVersion": "example.com/v1",
    "kind": "Gadget",
    "metadata": {"name": "g", "creationTimestamp": "2026-11-20T00:00:00Z"},
    "spec": {
        "count": 1,
        "size": "1",
        "extra": {"a": "b"},
        "rest": {"x": [1, {"y": None}]},
        "list": [{"name": "a"}, {"name": "aa"}],
    },
    "status": {"replicas": 1},
}


def accepted(rng):
    """A mutilated definition, if it is one that the server takes."""
    document = copy.deepcopy(DEFINITION)
    mutilate(document, rng)
    resource = CUSTOMRESOURCEDEFINITIONS
    try:
        document, _ = schema.decode(msgspec.json.encode(document), "application/json", resource, "Ignore")
    except (StatusError, TypeError):
        return None
    resource.prepare_create(document)
    resource.default(document)
    return None if resource.validate(document) else document


def test_no_object_of_an_accepted_kind_makes_the_server_fail():
    rng = random.Random(9)
    plain = copy.deepcopy(DEFINITION)
    CUSTOMRESOURCEDEFINITIONS.prepare_create(plain)
    definitions = [plain, *(made for _ in range(150) if (made := accepted(rng)))]
    assert len(definitions) > 5
    for definition in definitions:
        judged = naming.judged(definition, [definition], "2026-11-20T00:00:00Z")
        resources = resources_of(judged, Renaming())
        for resource in resources:
            for _ in range(300 if definition is plain else 5):
                judge(resource, rng)
    openapi.render(resources[:1])


def judge(resource, rng):
    document = copy.deepcopy(OBJECT) | {"apiVersion": resource.api_version, "kind": resource.kind}
    for _ in range(rng.randint(0, 4)):
        found = [place for place in places(document, []) if place[1] not in ("metadata", "name", "creationTimestamp")]
        node, key = rng.choice(found)
        node[key] = copy.deepcopy(rng.choice(VALUES))
    document |= {"apiVersion": resource.api_version, "kind": resource.kind}
    try:
        made, _ = schema.check(document, resource)
    except StatusError as error:
        assert error.code == 400, error
        return
    old = copy.deepcopy(made)
    resource.prepare_create(made)
    resource.default(made)
    resource.prepare_update(made, old)
    resource.custom.validate(made, None)
    resource.custom.validate(made, old)
    resource.fields(made)
    table(resource, [made], now_s=1795132900.0)
    for name in resource.subresources:
        view = view_of(resource, name)
        seen = view.read(made)
        try:
            view.write(made, {"metadata": {}, "spec": {"replicas": 2}} if name == "scale" else seen)
        except StatusError as error:
            assert error.code in (400, 422), error
