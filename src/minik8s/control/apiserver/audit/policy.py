"""Audit policies (audit.k8s.io/v1 Policy): how much of a request is written down. Pure.

Read once by `cli/apiserver`; asked by `log` for every request. As upstream: the first rule that matches decides, and
what no rule matches is not written.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minik8s.control.apiserver.authz.attributes import Attributes

STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")


class Level(enum.IntEnum):
    """How much is written; each includes the ones before."""

    NONE = 0
    METADATA = 1  # who, what, when, and how it ended
    REQUEST = 2  # the body sent
    REQUEST_RESPONSE = 3  # the body answered, too


_LEVELS = {
    "None": Level.NONE,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
LEVEL_NAMES = {level: name for name, level in _LEVELS.items()}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy says of one request."""

    level: Level
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


@dataclass(frozen=True, slots=True)
class GroupResources:
    """Resources of one group: `pods`, `pods/log`, `pods/*`, `*/status`, `*`; all of them if none are named."""

    group: str
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def matches(self, attributes: Attributes) -> bool:
        """Whether the request is about one of them."""
        if self.group != attributes.group:
            return False
        if not self.resources:
            return True
        if self.names and attributes.name not in self.names:
            return False
        patterns = {"*", attributes.full_resource, f"{attributes.resource}/*"}
        if attributes.subresource:
            patterns.add(f"*/{attributes.subresource}")
        return any(each in patterns for each in self.resources)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; an empty condition holds for everything."""

    ruling: Ruling
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[GroupResources, ...] = ()
    namespaces: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def matches(self, attributes: Attributes) -> bool:
        """Whether the rule is about this request."""
        user = attributes.user
        if self.users and user.name not in self.users:
            return False
        if self.groups and not any(user.is_in(group) for group in self.groups):
            return False
        if self.verbs and attributes.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return attributes.is_resource and self._matches_resource(attributes)
        if self.paths:
            return not attributes.is_resource and any(_covers(path, attributes.path) for path in self.paths)
        return True

    def _matches_resource(self, attributes: Attributes) -> bool:
        if self.namespaces and attributes.namespace not in self.namespaces:
            return False
        return not self.resources or any(each.matches(attributes) for each in self.resources)


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in their order."""

    rules: tuple[Rule, ...]

    def decide(self, attributes: Attributes) -> Ruling:
        """What to write of a request."""
        return next((rule.ruling for rule in self.rules if rule.matches(attributes)), Ruling(Level.NONE))


def parse(document: Any) -> Policy:
    """The policy of a parsed document. Raises ValueError with what is wrong, and where."""
    if not isinstance(document, dict):
        raise ValueError("an audit policy is a mapping")
    if (document.get("apiVersion"), document.get("kind")) != ("audit.k8s.io/v1", "Policy"):
        raise ValueError("an audit policy has apiVersion audit.k8s.io/v1 and kind Policy")
    omit_stages = _stages(document, "omitStages")
    omit_managed_fields = bool(document.get("omitManagedFields"))
    rules = document.get("rules")
    if not isinstance(rules, list) or not rules:
        raise ValueError("rules: Required value: a policy without rules writes nothing")
    return Policy(
        tuple(_rule(rule, f"rules[{index}]", omit_stages, omit_managed_fields) for index, rule in enumerate(rules))
    )


def _rule(rule: Any, where: str, omit_stages: frozenset[str], omit_managed_fields: bool) -> Rule:
    if not isinstance(rule, dict):
        raise ValueError(f"{where}: a rule is a mapping")
    level = _LEVELS.get(rule.get("level", ""))
    if level is None:
        raise ValueError(f"{where}.level: Unsupported value: {rule.get('level')!r}: one of {', '.join(_LEVELS)}")
    paths = _strings(rule, "nonResourceURLs", where)
    for path in paths:
        if path != "*" and not path.startswith("/"):
            raise ValueError(f"{where}.nonResourceURLs: {path!r} does not begin with '/'")
        if "*" in path[:-1]:
            raise ValueError(f"{where}.nonResourceURLs: {path!r}: a wildcard may only be at the end")
    namespaces, resources = _strings(rule, "namespaces", where), rule.get("resources") or []
    if paths and (namespaces or resources):
        raise ValueError(f"{where}: rules cannot apply to both regular resources and non-resource URLs")
    if not isinstance(resources, list) or not all(isinstance(each, dict) for each in resources):
        raise ValueError(f"{where}.resources: a list of mappings")
    ruling = Ruling(
        level,
        omit_stages | _stages(rule, "omitStages", where),
        bool(rule.get("omitManagedFields", omit_managed_fields)),
    )
    return Rule(
        ruling,
        users=_strings(rule, "users", where),
        groups=_strings(rule, "userGroups", where),
        verbs=_strings(rule, "verbs", where),
        resources=tuple(
            GroupResources(
                str(each.get("group") or ""),
                _strings(each, "resources", where),
                _strings(each, "resourceNames", where),
            )
            for each in resources
        ),
        namespaces=namespaces,
        paths=paths,
    )


def _stages(document: dict[str, Any], name: str, where: str = "") -> frozenset[str]:
    stages = _strings(document, name, where)
    for stage in stages:
        if stage not in STAGES:
            raise ValueError(f"{where}.{name}: Unsupported value: {stage!r}: one of {', '.join(STAGES)}".lstrip("."))
    return frozenset(stages)


def _strings(document: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    found: Sequence[Any] = document.get(name) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError(f"{where}.{name}: a list of strings".lstrip("."))
    return tuple(found)


def _covers(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))
