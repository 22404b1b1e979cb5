"""RBAC: whether a role that is bound to a user allows a request. Mode RBAC.

`Policy` is an index over the cached roles and bindings, by user and by group, kept by `follower` whenever it is asked.
What it promises: an answer is as new as the watch cache; and `handler` answers a write of a role or binding only when
the cache of this apiserver has it, so whoever wrote it sees it at once here, and soon (milliseconds) elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz import rules
from minik8s.control.apiserver.authz.attributes import NO_OPINION, NOT_READ, Attributes, Decision, Verdict
from minik8s.control.apiserver.authz.follower import Follower
from minik8s.control.apiserver.authz.rules import PolicyRule, Rule
from minik8s.control.apiserver.resources.clusterrole import CLUSTERROLES
from minik8s.control.apiserver.resources.clusterrolebinding import CLUSTERROLEBINDINGS
from minik8s.control.apiserver.resources.role import ROLES
from minik8s.control.apiserver.resources.rolebinding import ROLEBINDINGS
from minik8s.control.apiserver.watchcache import WatchCache
from minik8s.control.apiserver.watchers import Entry

SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

_Key = tuple[str, str]  # (namespace or "", name)


class _Role(msgspec.Struct):
    rules: list[PolicyRule] | None = None


class _Subject(msgspec.Struct):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class _RoleRef(msgspec.Struct):
    kind: str = ""
    name: str = ""


class _Binding(msgspec.Struct):
    roleRef: _RoleRef
    subjects: list[_Subject] | None = None


_decode_role = msgspec.json.Decoder(_Role).decode
_decode_binding = msgspec.json.Decoder(_Binding).decode


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that one binding gives to one subject."""

    role: _Key
    reason: str  # in upstream's words, for whoever asks why


class Policy:
    """The roles and bindings of the cluster."""

    def __init__(self, cache: WatchCache) -> None:
        self._cache = cache
        self._roles: dict[_Key, tuple[Rule, ...]] = {}
        self._by_user: dict[_Key, dict[_Key, Grant]] = {}  # (where it holds, user) → binding → grant
        self._by_group: dict[_Key, dict[_Key, Grant]] = {}
        self._follower = Follower(
            cache,
            (
                (CLUSTERROLES, self._set_role),
                (ROLES, self._set_role),
                (CLUSTERROLEBINDINGS, self._set_binding),
                (ROLEBINDINGS, self._set_binding),
            ),
        )

    @property
    def is_read(self) -> bool:
        """Whether the cache has ever been filled: before that nobody could be told from a stranger."""
        return self._cache.revision > 0

    def catch_up(self) -> None:
        """Take in what the cache has."""
        self._follower.catch_up()

    def role(self, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """The rules of a Role, or of a ClusterRole (no namespace); None if there is none."""
        return self._roles.get((namespace, name))

    def grants(self, user: User, namespace: str) -> Iterator[Grant]:
        """What a user is given: everywhere first, then in the namespace, if one is meant."""
        for where in ("", namespace) if namespace else ("",):
            if found := self._by_user.get((where, user.name)):
                yield from found.values()
            for group in user.groups:
                if found := self._by_group.get((where, group)):
                    yield from found.values()

    def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        """Every rule that holds for a user there, and what is wrong with the bindings."""
        found: list[Rule] = []
        faults = []
        for grant in self.grants(user, namespace):
            role = self._roles.get(grant.role)
            if role is None:
                faults.append(role_not_found(*grant.role))
            else:
                found += role
        return found, faults

    def _set_role(self, after: Entry | None, before: Entry | None) -> None:
        if after is None:
            assert before
            self._roles.pop((before.namespace, before.name), None)
        else:
            found = _decode_role(after.body).rules or ()
            self._roles[after.namespace, after.name] = tuple(rules.of(rule) for rule in found)

    def _set_binding(self, after: Entry | None, before: Entry | None) -> None:
        if before is not None:
            for index, key in self._places(before, _decode_binding(before.body)):
                if grants := index.get(key):
                    grants.pop((before.namespace, before.name), None)
                    if not grants:
                        del index[key]
        if after is not None:
            binding = _decode_binding(after.body)
            # Of subjects that are the same the first one counts, as upstream.
            for (index, key), subject in reversed(list(self._with_subjects(after, binding))):
                index.setdefault(key, {})[after.namespace, after.name] = _grant(after, binding, subject)

    def _places(self, entry: Entry, binding: _Binding) -> list[tuple[dict[_Key, dict[_Key, Grant]], _Key]]:
        return [place for place, _ in self._with_subjects(entry, binding)]

    def _with_subjects(
        self, entry: Entry, binding: _Binding
    ) -> Iterator[tuple[tuple[dict[_Key, dict[_Key, Grant]], _Key], _Subject]]:
        for subject in binding.subjects or ():
            match subject.kind:
                case "User":
                    yield (self._by_user, (entry.namespace, subject.name)), subject
                case "Group":
                    yield (self._by_group, (entry.namespace, subject.name)), subject
                case "ServiceAccount" if namespace := subject.namespace or entry.namespace:
                    user = f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{subject.name}"
                    yield (self._by_user, (entry.namespace, user)), subject


class RbacAuthorizer:
    """The policy as an authorizer. It allows or has no opinion; it never denies."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Whether any rule allows it."""
        policy = self.policy
        if not policy.is_read:
            return Verdict(Decision.NO_OPINION, error=NOT_READ)
        policy.catch_up()
        faults = []
        for grant in policy.grants(attributes.user, attributes.namespace):
            role = policy.role(*grant.role)
            if role is None:
                faults.append(role_not_found(*grant.role))
                continue
            for rule in role:
                if rule.allows(attributes):
                    return Verdict(Decision.ALLOW, grant.reason)
        return Verdict(Decision.NO_OPINION, f"RBAC: {aggregate(faults)}") if faults else NO_OPINION

    async def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str], bool]:
        """Every rule that holds for a user in a namespace, and which roles are missing."""
        self.policy.catch_up()
        return *self.policy.rules_for(user, namespace), True

    async def close(self) -> None:
        """Nothing is held."""


def role_not_found(namespace: str, name: str) -> str:
    """What is said of a binding to a role that is not there."""
    return f'{"role" if namespace else "clusterrole"}.rbac.authorization.k8s.io "{name}" not found'


def aggregate(messages: list[str]) -> str:
    """Messages as Go joins errors: each once, in brackets if there are several."""
    unique = list(dict.fromkeys(messages))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"


def _grant(entry: Entry, binding: _Binding, subject: _Subject) -> Grant:
    role = binding.roleRef
    who = subject.name
    if subject.kind == "ServiceAccount":
        who = f"{who}/{subject.namespace or entry.namespace}"
    kind, name = (
        ("RoleBinding", f"{entry.name}/{entry.namespace}")
        if entry.namespace
        else (
            "ClusterRoleBinding",
            entry.name,
        )
    )
    reason = f'RBAC: allowed by {kind} "{name}" of {role.kind} "{role.name}" to {subject.kind} "{who}"'
    return Grant((entry.namespace if role.kind == "Role" else "", role.name), reason)
