"""Nobody gives what they do not have: an admission plugin for writes of roles and bindings.

A role may be written by whoever has all of its rules, or the verb `escalate` on it; a role may be bound by whoever has
all of its rules where it is bound, or the verb `bind` on it. system:masters may do either. To make a role aggregate
others takes all rights there are. A write that only lets the garbage collector finish is let through. As upstream,
whose storage does this after admission; here it is what validates last but the webhooks.
"""

from minik8s.api import errors
from minik8s.control.apiserver.admission.attributes import Attributes as Write
from minik8s.control.apiserver.admission.attributes import Plugin
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz import rules
from minik8s.control.apiserver.authz.attributes import Attributes, Authorizer
from minik8s.control.apiserver.authz.chain import MASTERS
from minik8s.control.apiserver.authz.rbac import Policy
from minik8s.control.apiserver.authz.rules import Rule, go_list
from minik8s.control.apiserver.resource import Document

_GROUP = "rbac.authorization.k8s.io"
_ROLES = ("roles", "clusterroles")
_BINDINGS = ("rolebindings", "clusterrolebindings")
_COLLECTED = ("finalizers", "ownerReferences", "managedFields", "resourceVersion")
_FULL = (Rule(verbs=("*",), groups=("*",), resources=("*",)), Rule(verbs=("*",), urls=("*",)))


class EscalationCheck(Plugin):
    """Compares what is given with what the giver has."""

    def __init__(self, authorizer: Authorizer, policy: Policy) -> None:
        self._authorizer = authorizer
        self._policy = policy

    async def validate(self, document: Document, attributes: Write) -> None:
        """Raises StatusError Forbidden; NotFound for a binding to a role that is not there."""
        if attributes.resource.group != _GROUP or attributes.operation == "DELETE" or MASTERS in attributes.groups:
            return
        if attributes.old is not None and _without_collected(document) == _without_collected(attributes.old):
            return
        if attributes.resource.plural in _ROLES:
            await self._check_role(document, attributes)
        elif attributes.resource.plural in _BINDINGS:
            await self._check_binding(document, attributes)

    async def _check_role(self, role: Document, write: Write) -> None:
        # As upstream: of a role that is created the request does not say the name.
        name = write.name if write.request is None else write.request.name
        if await self._may("escalate", write, write.resource.plural, name):
            return
        self._confirm(rules.of_documents(role.get("rules")), write)
        if any(each.get("aggregationRule") for each in (role, write.old or {})) and self._missing(_FULL, write):
            raise write.refuse("must have cluster-admin privileges to use the aggregationRule")

    async def _check_binding(self, binding: Document, write: Write) -> None:
        reference = binding["roleRef"]
        plural = "roles" if reference["kind"] == "Role" else "clusterroles"
        if await self._may("bind", write, plural, reference["name"]):
            return
        self._policy.catch_up()
        role = self._policy.role(write.namespace if plural == "roles" else "", reference["name"])
        if role is None:
            raise errors.not_found(plural, _GROUP, reference["name"])
        self._confirm(role, write)

    async def _may(self, verb: str, write: Write, plural: str, name: str) -> bool:
        user = _user(write)
        asked = Attributes(user, verb, _GROUP, "v1", plural, namespace=write.namespace, name=name)
        return (await self._authorizer.authorize(asked)).is_allowed

    def _missing(self, wanted: tuple[Rule, ...], write: Write) -> tuple[list[Rule], list[str]] | None:
        self._policy.catch_up()
        held, faults = self._policy.rules_for(_user(write), write.namespace)
        lacking = rules.missing(held, wanted)
        return (lacking, faults) if lacking else None

    def _confirm(self, wanted: tuple[Rule, ...], write: Write) -> None:
        if found := self._missing(wanted, write):
            lacking, faults = found
            lines = "\n".join(sorted(str(rule) for rule in rules.compact(lacking)))
            who = f'user "{write.user_name}" (groups={go_list(write.groups)})'
            why = f"{who} is attempting to grant RBAC permissions not currently held:\n{lines}"
            raise write.refuse(f"{why}; resolution errors: [{', '.join(faults)}]" if faults else why)


def _user(write: Write) -> User:
    return User(write.user_name, tuple(write.groups), write.uid)


def _without_collected(document: Document) -> Document:
    """A document without what the garbage collector changes."""
    metadata = {key: value for key, value in document["metadata"].items() if key not in _COLLECTED}
    return document | {"metadata": metadata}
