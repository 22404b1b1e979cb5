"""Covering means allowing: whoever holds rules that cover others may do all that those allow, and nothing is missed."""

import itertools
import random

import pytest

from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import Attributes
from minik8s.control.apiserver.authz.rules import Rule, missing

BOB = User("bob")
VERBS, GROUPS = ("get", "list", "x"), ("", "apps", "x")
RESOURCES = (("pods", ""), ("pods", "log"), ("nodes", "log"), ("x", ""), ("x", "x"))
NAMES, PATHS = ("", "a", "b", "x"), ("/a", "/a/b", "/ab", "/x")
REQUESTS = [
    Attributes(BOB, verb, group, "v1", resource, subresource, name=name)
    for verb, group, (resource, subresource), name in itertools.product(VERBS, GROUPS, RESOURCES, NAMES)
] + [Attributes(BOB, verb, path=path) for verb, path in itertools.product(VERBS, PATHS)]


def some(rng, *values, at_most=2):
    return tuple(rng.sample(values, rng.randint(1, at_most)))


def random_rule(rng):
    verbs = some(rng, "get", "list", "*")
    if rng.random() < 0.2:
        return Rule(verbs, urls=some(rng, "/a", "/a/*", "/a*", "*"))
    names = some(rng, "a", "b") if rng.random() < 0.3 else ()
    resources = some(rng, "pods", "pods/log", "nodes/log", "*/log", "*")
    return Rule(verbs, some(rng, "", "apps", "*"), resources, names)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_covered_is_allowed_and_what_is_missing_is_told(seed):
    rng = random.Random(seed)
    covered = 0
    for _ in range(250):
        held = [random_rule(rng) for _ in range(rng.randint(1, 4))]
        wanted = [random_rule(rng) for _ in range(rng.randint(1, 2))]
        lacking = missing(held, wanted)
        covered += not lacking
        for request in REQUESTS:
            if any(rule.allows(request) for rule in wanted):
                assert any(rule.allows(request) for rule in [*held, *lacking]), (held, wanted, request)
    assert 10 < covered < 240  # Or the rules are not random enough to say anything.
