"""ClusterRoles made of others: a role with an aggregationRule has the rules of all that its selectors match.

`admin`, `edit` and `view` are such: who defines a new kind labels a role of its own, and the three allow it.
"""

from collections.abc import Iterable, Sequence

from minik8s.api.rbac_v1 import CLUSTERROLES, ClusterRole, PolicyRule
from minik8s.api.selectors import label_selector_matches
from minik8s.client.controller import Writes
from minik8s.control.controllers.context import Context, Watch

_ALL = "aggregating roles"


def aggregated(role: ClusterRole, roles: Iterable[ClusterRole]) -> list[PolicyRule]:
    """What the rules of an aggregating role should be: those of the others by name, each rule once."""
    assert role.aggregationRule is not None
    others = sorted((each for each in roles if _name(each) != _name(role)), key=_name)
    found: list[PolicyRule] = []
    for selector in role.aggregationRule.clusterRoleSelectors or ():
        for other in others:
            if label_selector_matches(selector, other.metadata.labels if other.metadata else None):
                found += [rule for rule in other.rules or () if rule not in found]
    return found


def outdated(roles: Sequence[ClusterRole]) -> list[tuple[ClusterRole, list[PolicyRule]]]:
    """(role, what its rules should be) of those that are not what they should be."""
    aggregating = [role for role in roles if role.aggregationRule is not None]
    wanted = [(role, aggregated(role, roles)) for role in aggregating]
    return [(role, rules) for role, rules in wanted if rules != (role.rules or [])]


class ClusterRoleAggregationController:
    """One key: all of them, for they are few and may be parts of each other."""

    name = "clusterroleaggregation"

    def __init__(self, context: Context) -> None:
        self._roles = context.informer(CLUSTERROLES)

    def watches(self) -> Iterable[Watch]:
        return (Watch(CLUSTERROLES, lambda role: (_ALL,)),)

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        for role, rules in outdated(list(self._roles.items.values())):
            assert role.metadata is not None
            # Optimistic: what it should be was computed from what was read.
            patch = {
                "metadata": {"resourceVersion": role.metadata.resourceVersion},
                "rules": [_document(rule) for rule in rules],
            }
            await writes.patch(CLUSTERROLES, _name(role), patch)
        return None


def _name(role: ClusterRole) -> str:
    assert role.metadata is not None
    return role.metadata.name or ""


def _document(rule: PolicyRule) -> dict[str, list[str]]:
    fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    return {field: getattr(rule, field) for field in fields if getattr(rule, field)}
