"""What is judged again and what is not."""

import copy

import pytest

from control.apiserver.resources.kinds import KINDS
from control.apiserver.seeds import SEEDS
from minik8s.control.apiserver import gate, schema


@pytest.mark.parametrize("kind", sorted(gate.SPEC_ALONE))
def test_the_kinds_whose_spec_alone_is_judged_are_those(kind):
    resource = KINDS[kind]
    seed = copy.deepcopy(SEEDS[kind])
    seed["metadata"] = {"name": "x"} | seed.get("metadata", {})
    document, _ = schema.check(seed, resource)
    resource.default(document)
    for broken in (False, True):
        if broken:
            document["spec"].get("template", document)["spec"]["containers"] = []
        expected = resource.validate(document)
        assert bool(expected) is broken
        for status in ({}, {"replicas": -1}, {"conditions": [{}], "phase": "?", "replicas": "x"}):
            other = document | {"status": status, "metadata": {"labels": {"-": "-"}}}
            assert resource.validate(other) == expected


def test_a_changed_spec_is_judged():
    pods, document = KINDS["Pod"], {"spec": {"nodeName": "a"}, "status": {}}
    assert gate.is_judged(pods, document, document | {"status": {"phase": "Running"}})
    assert not gate.is_judged(pods, document, {"spec": {}})
    assert not gate.is_judged(pods, document, None)
    assert not gate.is_judged(KINDS["Service"], document, document)
