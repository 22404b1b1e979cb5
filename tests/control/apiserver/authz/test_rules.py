"""What one rule allows, and what it covers of another: each line of upstream's semantics is a row."""

import pytest

from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import Attributes
from minik8s.control.apiserver.authz.bootstrap_policy import parse_rule
from minik8s.control.apiserver.authz.rules import Rule, compact, missing, of_documents

BOB = User("bob")


def rule(text: str) -> Rule:
    return of_documents([parse_rule(text)])[0]


def asked(text: str) -> Attributes:
    """VERB [GROUP:]RESOURCE[/SUBRESOURCE] [NAME], or VERB /PATH."""
    verb, what, *name = text.split()
    if what.startswith("/"):
        return Attributes(BOB, verb, path=what)
    group, _, resource = what.rpartition(":")
    resource, _, subresource = resource.partition("/")
    return Attributes(BOB, verb, group, "v1", resource, subresource, "default", *name)


@pytest.mark.parametrize(
    ("given", "request_", "expected"),
    [
        ("get pods", "get pods a", True),
        ("get pods", "list pods", False),
        ("* pods", "escalate pods", True),
        ("get pods", "get apps:pods a", False),
        ("get @* pods", "get apps:pods a", True),
        ("get @apps deployments", "get apps:deployments a", True),
        ("get @apps,batch jobs", "get batch:jobs a", True),
        ("get pods", "get pods/log a", False),
        ("get pods/log", "get pods/log a", True),
        ("get pods/log", "get pods a", False),
        ("get *", "get pods/log a", True),
        ("get */log", "get pods/log a", True),
        ("get */log", "get pods a", False),
        ("get */scale", "get pods/log a", False),
        ("get pods/*", "get pods/log a", False),
        ("get configmaps =a =b", "get configmaps b", True),
        ("get configmaps =a", "get configmaps b", False),
        ("list configmaps =a", "list configmaps", False),
        ("list configmaps =a", "list configmaps a", True),
        ("create configmaps =a", "create configmaps", False),
        ("get pods", "get /version", False),
        ("get /version", "get /version", True),
        ("get /version", "get /version/", False),
        ("get /version", "post /version", False),
        ("get /healthz/*", "get /healthz/ping", True),
        ("get /healthz/*", "get /healthz", False),
        ("get /health*", "get /healthz", True),
        ("* *", "get /anything/at/all", True),
        ("* *", "get pods a", False),
        ("* @* *", "get /version", False),
    ],
)
def test_a_rule_allows(given, request_, expected):
    assert rule(given).allows(asked(request_)) is expected


@pytest.mark.parametrize(
    ("held", "wanted", "expected"),
    [
        ("get,list pods", "get pods", True),
        ("get pods", "get,list pods", False),
        ("* @* *", "delete,escalate @apps deployments/scale =a", True),
        ("* pods", "get @apps pods", False),
        ("get *", "get pods/log", True),
        ("get */scale", "get deployments/scale", True),
        ("get */scale", "get deployments", False),
        ("get pods", "get *", False),
        ("get pods", "get pods =a", True),
        ("get pods =a", "get pods", False),
        ("get pods =a =b", "get pods =b", True),
        ("get pods =a", "get pods =a =b", False),
        ("get /healthz/*", "get /healthz/ping", True),
        ("get /healthz/*", "get /healthz/*", True),
        ("get /healthz", "get /healthz/*", False),
        ("* *", "get /healthz/*", True),
        ("* @* *", "get /healthz", False),
    ],
)
def test_a_rule_covers_another(held, wanted, expected):
    assert (not missing([rule(held)], [rule(wanted)])) is expected


def test_several_rules_together_cover_what_none_does_alone():
    held = [rule("get pods"), rule("list pods services"), rule("get services")]
    assert missing(held, [rule("get,list pods services")]) == []


def test_what_is_missing_is_told_by_thing():
    found = compact(missing([rule("get pods")], [rule("get,list,watch pods services"), rule("get /metrics")]))
    assert [str(each) for each in found] == [
        '{APIGroups:[""], Resources:["services"], Verbs:["get" "list" "watch"]}',
        '{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}',
        '{NonResourceURLs:["/metrics"], Verbs:["get"]}',
    ]
