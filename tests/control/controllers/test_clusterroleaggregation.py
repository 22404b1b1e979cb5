"""ClusterRoles made of others."""

from control.apiserver.harness import ADMIN, local_api, scenario
from minik8s.api.meta_v1 import LabelSelector, LabelSelectorRequirement, ObjectMeta
from minik8s.api.rbac_v1 import CLUSTERROLES, AggregationRule, ClusterRole, PolicyRule
from minik8s.client.client import Client
from minik8s.control.controllers.clusterroleaggregation import (
    ClusterRoleAggregationController,
    aggregated,
    outdated,
)

from .running import controllers, until

TO_VIEW = "rbac.authorization.k8s.io/aggregate-to-view"


def rule(*verbs):
    return PolicyRule(verbs=list(verbs), apiGroups=[""], resources=["pods"])


def role(name, *rules, labels=None, selectors=None):
    aggregation = AggregationRule(clusterRoleSelectors=selectors) if selectors is not None else None
    return ClusterRole(metadata=ObjectMeta(name=name, labels=labels), rules=list(rules), aggregationRule=aggregation)


def test_rules_come_by_selector_and_by_name_each_once():
    selectors = [
        LabelSelector(matchLabels={"a": "1"}),
        LabelSelector(matchExpressions=[LabelSelectorRequirement(key="b", operator="Exists")]),
    ]
    whole = role("whole", rule("old"), labels={"a": "1"}, selectors=selectors)
    parts = [
        role("z", rule("get"), rule("list"), labels={"a": "1", "b": ""}),
        role("y", rule("get"), labels={"a": "1"}),
        role("x", rule("watch"), labels={"b": "2"}),
        role("w", rule("delete"), labels={"c": "2"}),
    ]
    assert aggregated(whole, [whole, *parts]) == [rule("get"), rule("list"), rule("watch")]


def test_what_is_as_it_should_be_is_left_alone():
    part = role("part", rule("get"), labels={"a": "1"})
    selectors = [LabelSelector(matchLabels={"a": "1"})]
    assert outdated([part, role("whole", rule("get"), selectors=selectors)]) == []
    assert [rules for _, rules in outdated([part, role("whole", selectors=selectors)])] == [[rule("get")]]
    assert [rules for _, rules in outdated([role("whole", rule("get"), selectors=selectors)])] == [[]]


@scenario
async def test_a_new_kind_joins_view_and_so_edit_and_admin_and_leaves_them():
    async with local_api() as api, controllers(api, ClusterRoleAggregationController):
        client = Client(api.as_user(ADMIN), field_manager="test")
        rules = [{"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["gadgets"]}]
        metadata = {"name": "view-gadgets", "labels": {TO_VIEW: "true"}}
        before = [await client.get(CLUSTERROLES, name) for name in ("view", "edit", "admin")]
        await client.create(CLUSTERROLES, {"metadata": metadata, "rules": rules})

        async def has(name):
            found = await client.get(CLUSTERROLES, name)
            return any(each.resources == ["gadgets"] for each in found.rules)

        for name in ("view", "edit", "admin"):
            await until(lambda name=name: has(name))
        await client.delete(CLUSTERROLES, "view-gadgets")

        async def is_as_before():
            now = [await client.get(CLUSTERROLES, name) for name in ("view", "edit", "admin")]
            return [each.rules for each in now] == [each.rules for each in before]

        await until(is_as_before)
