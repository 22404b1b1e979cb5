"""The policy every cluster begins with, as documents made of `bootstrap_roles`. Pure; read by `reconcile`, `node`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from minik8s.control.apiserver.authz.bootstrap_roles import BINDINGS, CLUSTER_ROLES, CONTROLLER_ROLES, ROLES, VERBS
from minik8s.control.apiserver.resource import Document

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
GROUP = "rbac.authorization.k8s.io"
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_CONTROLLER = "system:controller:"
_CONTROLLERS_USER = "system:kube-controller-manager"


@dataclass(frozen=True, slots=True)
class Policy:
    """Documents by the plural of their kind."""

    clusterroles: list[Document] = field(default_factory=list)
    clusterrolebindings: list[Document] = field(default_factory=list)
    roles: list[Document] = field(default_factory=list)
    rolebindings: list[Document] = field(default_factory=list)

    def items(self) -> Iterator[tuple[str, Document]]:
        """(plural, document), roles before their bindings."""
        for plural in ("clusterroles", "roles", "clusterrolebindings", "rolebindings"):
            for document in getattr(self, plural):
                yield plural, document


def policy() -> Policy:
    """A fresh copy of the whole."""
    found = Policy()
    for name, rules in _roles(CLUSTER_ROLES):
        found.clusterroles.append(_cluster_role(name, rules))
    for name, rules in _roles(CONTROLLER_ROLES):
        role = _CONTROLLER + name
        found.clusterroles.append(_cluster_role(role, rules))
        subjects = [_subject(f"kube-system/{name}"), _subject(_CONTROLLERS_USER)]
        found.clusterrolebindings.append(_binding("", role, role, subjects))
    for place, rules in _roles(ROLES):
        namespace, name = place.split("/")
        found.roles.append({"metadata": _metadata(name, namespace), "rules": rules})
    for line in _lines(BINDINGS):
        place, *words = line.split()
        namespace, _, role = place.rpartition("/")
        name = role
        if "as" in words:
            words, name = words[: words.index("as")], words[-1]
        binding = _binding(namespace, role, name, [_subject(word) for word in words])
        (found.rolebindings if namespace else found.clusterrolebindings).append(binding)
    _aggregate(found.clusterroles)
    return found


@cache
def node_rules() -> tuple[Document, ...]:
    """What any kubelet may, before it is asked which objects."""
    return next(tuple(rules) for name, rules in _roles(CLUSTER_ROLES) if name == "system:node")


def parse_rule(text: str) -> Document:
    """A rule as documents have it, of the form that `bootstrap_roles` describes."""
    verbs, *words = text.split()
    rule: dict[str, Any] = {"verbs": sorted(VERBS.get(verbs) or verbs.split(","))}
    groups = [word[1:] for word in words if word.startswith("@")]
    names = [word[1:] for word in words if word.startswith("=")]
    things = [word for word in words if word[0] not in "@="]
    if things[0].startswith("/") or (verbs == "*" and things == ["*"] and not groups):
        return {**rule, "nonResourceURLs": sorted(things)}
    rule["apiGroups"] = sorted(group.removeprefix("core") for group in (groups[0] if groups else "core").split(","))
    if names:
        rule["resourceNames"] = sorted(names)
    return {**rule, "resources": sorted(things)}


def _roles(text: str) -> Iterator[tuple[str, list[Document]]]:
    """(what is at the margin, rules)."""
    head, rules = "", list[Document]()
    for line in _lines(text):
        if line.startswith(" "):
            rules.append(parse_rule(line))
            continue
        if head:
            yield head, rules
        head, rules = line, []
    yield head, rules


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def _cluster_role(head: str, rules: list[Document]) -> Document:
    name, *marks = head.split()
    document: Document = {"metadata": _metadata(name)}
    for mark in marks:
        label = {f"{_AGGREGATE}{mark[1:]}": "true"}
        if mark.startswith("+"):
            document["metadata"]["labels"] |= label
        else:
            document["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": label}]}
    return document if "aggregationRule" in document else {**document, "rules": rules}


def _aggregate(roles: list[Document]) -> None:
    """Fill in what the aggregation controller will find, so that the roles are of use before it runs."""
    for name in ("view", "edit", "admin"):  # Each is part of the next.
        role = next(role for role in roles if role["metadata"]["name"] == name)
        label = f"{_AGGREGATE}{name}"
        parts = sorted((each for each in roles if label in each["metadata"]["labels"]), key=_name)
        role["rules"] = [rule for part in parts for rule in part["rules"]]


def _name(role: Document) -> str:
    name: str = role["metadata"]["name"]
    return name


def _binding(namespace: str, role: str, name: str, subjects: list[Document]) -> Document:
    document: Document = {
        "metadata": _metadata(name, namespace),
        "roleRef": {"apiGroup": GROUP, "kind": "Role" if namespace else "ClusterRole", "name": role},
    }
    return {**document, "subjects": subjects} if subjects else document


def _subject(word: str) -> Document:
    if word.startswith("%"):
        return {"apiGroup": GROUP, "kind": "Group", "name": word[1:]}
    if "/" in word:
        namespace, name = word.split("/")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"apiGroup": GROUP, "kind": "User", "name": word}


def _metadata(name: str, namespace: str = "") -> Document:
    metadata: Document = {"name": name, "labels": dict(_LABELS), "annotations": {AUTOUPDATE: "true"}}
    return {**metadata, "namespace": namespace} if namespace else metadata
