"""Rules of roles: what one allows, and whether some cover another. Pure; called by `rbac`, `node`, `escalation`.

As kube-apiserver's evaluation helpers: `*` is everything; `*/scale` is that subresource of every resource; a rule
with resourceNames covers requests that name one of them, so never a create or an unnamed list; nonResourceURLs are
paths, or all that begin so with a trailing `*`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from minik8s.control.apiserver.authz.attributes import Attributes
from minik8s.control.apiserver.resource import Document

_Names = list[str] | None


class PolicyRule(msgspec.Struct):
    """A rule as roles hold it."""

    verbs: _Names = None
    apiGroups: _Names = None
    resources: _Names = None
    resourceNames: _Names = None
    nonResourceURLs: _Names = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, ready to be asked. Sequences keep the order they were written in."""

    verbs: Sequence[str] = ()
    groups: Sequence[str] = ()
    resources: Sequence[str] = ()
    names: Sequence[str] = ()
    urls: Sequence[str] = ()

    def allows(self, asked: Attributes) -> bool:
        """Whether this alone is enough for a request."""
        if asked.verb not in self.verbs and "*" not in self.verbs:
            return False
        if asked.path:
            return any(url_covers(url, asked.path) for url in self.urls)
        return (
            (asked.group in self.groups or "*" in self.groups)
            and self._has_resource(asked.full_resource, asked.subresource)
            and (not self.names or asked.name in self.names)
        )

    def _has_resource(self, full: str, subresource: str) -> bool:
        resources = self.resources
        if full in resources or "*" in resources:
            return True
        return bool(subresource) and f"*/{subresource}" in resources

    def covers(self, other: "Rule") -> bool:
        """Whether this alone allows all that another rule does."""
        return (
            _holds(self.verbs, other.verbs)
            and _holds(self.groups, other.groups)
            and self._covers_resources(other.resources)
            and (not self.names or (bool(other.names) and set(other.names) <= set(self.names)))
            and all(any(url_covers(mine, url) for mine in self.urls) for url in other.urls)
        )

    def _covers_resources(self, others: Sequence[str]) -> bool:
        mine = self.resources
        if "*" in mine:
            return True
        return all(each in mine or ("/" in each and f"*/{each.partition('/')[2]}" in mine) for each in others)

    def __str__(self) -> str:
        """As upstream's refusals print it."""
        parts = {
            "APIGroups": self.groups,
            "Resources": self.resources,
            "NonResourceURLs": self.urls,
            "ResourceNames": self.names,
            "Verbs": self.verbs,
        }
        return "{" + ", ".join(f"{label}:{go_list(values)}" for label, values in parts.items() if values) + "}"


def of(rule: PolicyRule) -> Rule:
    """A rule out of a stored role."""
    return Rule(
        tuple(rule.verbs or ()),
        tuple(rule.apiGroups or ()),
        tuple(rule.resources or ()),
        tuple(rule.resourceNames or ()),
        tuple(rule.nonResourceURLs or ()),
    )


def of_documents(rules: Iterable[Document] | None) -> tuple[Rule, ...]:
    """Rules out of a role that is a tree."""
    return tuple(of(msgspec.convert(rule, PolicyRule)) for rule in rules or ())


def document(rule: Rule) -> Document:
    """A rule as roles and reviews hold it."""
    fields = {
        "verbs": rule.verbs,
        "apiGroups": rule.groups,
        "resources": rule.resources,
        "resourceNames": rule.names,
        "nonResourceURLs": rule.urls,
    }
    return {name: list(values) for name, values in fields.items() if values}


def missing(held: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What of the wanted rules those held do not cover: the smallest parts, each of one verb on one thing."""
    held = tuple(dict.fromkeys(held))
    parts = dict.fromkeys(part for rule in wanted for part in _parts(rule))
    return [part for part in parts if not any(mine.covers(part) for mine in held)]


def compact(parts: Iterable[Rule]) -> list[Rule]:
    """Parts that differ only by their verb as one rule."""
    verbs: dict[Rule, list[str]] = {}
    for part in parts:
        verbs.setdefault(replace(part, verbs=()), []).extend(part.verbs)
    return [replace(rule, verbs=tuple(found)) for rule, found in verbs.items()]


def url_covers(pattern: str, path: str) -> bool:
    """Whether a nonResourceURL covers a path, or another one."""
    if pattern in (path, "*"):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))


def go_list(values: Iterable[str]) -> str:
    """Strings as Go prints a quoted list: `["a" "b"]`."""
    return "[" + " ".join(json.dumps(value, ensure_ascii=False) for value in values) + "]"


def _holds(mine: Sequence[str], others: Sequence[str]) -> bool:
    return "*" in mine or all(each in mine for each in others)


def _parts(rule: Rule) -> Iterator[Rule]:
    for verb in rule.verbs:
        for group in rule.groups:
            for resource in rule.resources:
                for name in rule.names or ("",):
                    yield Rule((verb,), (group,), (resource,), (name,) if name else ())
        for url in rule.urls:
            yield Rule((verb,), urls=(url,))
