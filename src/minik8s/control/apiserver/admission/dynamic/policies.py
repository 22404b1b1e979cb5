"""What validating and mutating admission policies have in common: definitions, bindings, parameters.

A policy says what; a binding says where, and with which parameters. A policy without a binding does nothing.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.selectors import from_label_selector
from minik8s.control.apiserver import versions
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.admission.dynamic import matching
from minik8s.control.apiserver.admission.dynamic.configurations import Configurations
from minik8s.control.apiserver.admission.dynamic.expressions import (
    Conditions,
    Scope,
    Variable,
    compile_conditions,
)
from minik8s.control.apiserver.admission.dynamic.requests import show
from minik8s.control.apiserver.authz.attributes import Authorizer
from minik8s.control.apiserver.cel import CelError, Program
from minik8s.control.apiserver.cel.environments import POLICY_NAMES, compile_over
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.served import Served
from minik8s.control.apiserver.views import OBJECT
from minik8s.control.apiserver.watchcache import WatchCache

_decode = msgspec.json.Decoder().decode


class NotConfigured(Exception):
    """A binding that cannot be used as it stands."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A definition, with what every kind of policy compiles."""

    name: str
    spec: Document
    conditions: Conditions
    variables: tuple[Variable, ...]
    fault: CelError | None  # of an expression that does not compile; validation lets none pass

    @property
    def is_forgiven(self) -> bool:
        """Whether failures to evaluate it do not matter."""
        return self.spec.get("failurePolicy") == "Ignore"

    def compile(self, expression: str) -> Program:
        """The program of one of its own expressions. Raises CelError."""
        return compile_over(expression, POLICY_NAMES, [variable.name for variable in self.variables])


def parse_policy(document: Document) -> Policy:
    """The policy in an object."""
    spec = document.get("spec", {})
    variables: list[Variable] = []
    fault: CelError | None = None
    for each in spec.get("variables", ()):
        try:
            known = [variable.name for variable in variables]
            variables.append(
                Variable(each.get("name", ""), compile_over(each.get("expression", ""), POLICY_NAMES, known))
            )
        except CelError as error:
            fault = fault or error
    names = [variable.name for variable in variables]
    conditions = compile_conditions(spec.get("matchConditions", ()), POLICY_NAMES, names)
    return Policy(document["metadata"]["name"], spec, conditions, tuple(variables), fault)


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a policy holds."""

    name: str
    spec: Document


def parse_binding(document: Document) -> Binding:
    """The binding in an object."""
    return Binding(document["metadata"]["name"], document.get("spec", {}))


@dataclass(frozen=True, slots=True)
class Case:
    """One policy in one binding with one parameter, on one request; or why that could not be."""

    policy: Policy
    binding: Binding
    scope: Scope | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of one kind with their bindings."""

    policies: Configurations[Any]  # of what has a `policy`
    bindings: Configurations[Binding]
    cache: WatchCache
    served: Served
    authorizer: Authorizer

    async def cases(self, made: Any, document: Document, attributes: Attributes) -> AsyncIterator[Case]:
        """The cases in which a policy concerns a request. Raises StatusError if the namespace is gone."""
        policy: Policy = made.policy
        bindings = [each for each in self.bindings.all() if each.spec.get("policyName") == policy.name]
        if not bindings or matching.is_exempt(attributes):
            return
        served = self.served.versions(attributes.resource)
        version = await _meant(policy.spec.get("matchConstraints", {}), document, attributes, served)
        if version is None:
            return
        namespace = await matching.namespace_of(attributes)
        for binding in bindings:
            limits = binding.spec.get("matchResources")
            if limits and await _meant(limits, document, attributes, served) is None:
                continue
            try:
                params = await self._params(policy, binding, attributes)
            except NotConfigured as error:
                yield Case(policy, binding, failure=f"failed to configure binding: {error}")
                continue
            for param in params:
                shown = await show(version, document, attributes)
                scope = Scope(shown, attributes, self.authorizer, {"namespaceObject": namespace, "params": param})
                scope.define(policy.variables)
                try:
                    if policy.fault:
                        raise policy.fault
                    if not await policy.conditions.hold(scope):
                        continue
                except CelError as error:
                    yield Case(policy, binding, failure=error.message)
                    continue
                yield Case(policy, binding, scope)

    async def _params(self, policy: Policy, binding: Binding, attributes: Attributes) -> Sequence[Document | None]:
        """The parameters; a policy or binding without any has one, which is null. Raises NotConfigured."""
        kind, reference = policy.spec.get("paramKind"), binding.spec.get("paramRef")
        if not kind or not reference:
            return [None]
        group, _, version = kind.get("apiVersion", "").rpartition("/")
        resource = self.served.of_kind(group, version, kind.get("kind", ""))
        if resource is None:
            shown = f"{kind.get('apiVersion', '')}, Kind={kind.get('kind', '')}"
            raise NotConfigured(f"paramKind kind `{shown}` not known")
        namespace = reference.get("namespace", "")
        if resource.namespaced and not namespace:
            namespace = attributes.namespace
            if not namespace:
                why = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                raise NotConfigured(why)
        if namespace and not resource.namespaced:
            raise NotConfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        found = await self._find(resource, namespace, reference)
        if not found and reference.get("parameterNotFoundAction", "Deny") == "Deny":
            raise NotConfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
        return found

    async def _find(self, resource: Resource, namespace: str, reference: Document) -> list[Document]:
        stored = versions.stored_version(resource)
        try:
            kind = self.cache.kind(stored)
            if name := reference.get("name"):
                entry = kind.find(namespace, name)
                entries = [entry] if entry else []
            else:
                selector = from_label_selector(reference.get("selector") or {})
                entries = [each for each in kind.select(namespace) if selector and selector.matches(each.labels)]
                if not selector:
                    entries = list(kind.select(namespace))
            documents = [_decode(entry.body) for entry in entries]
            if resource.custom:
                return await resource.custom.read(documents)
        except StatusError as error:
            raise NotConfigured(error.message) from None
        view = versions.shown_as(resource, OBJECT)
        return [view.read(document) for document in documents]


async def _meant(
    limits: Document, document: Document, attributes: Attributes, served: Sequence[Resource]
) -> Resource | None:
    """The version in which a request is meant by MatchResources; None if it is not. Raises StatusError NotFound."""
    policy = limits.get("matchPolicy", "Equivalent")
    excluded = limits.get("excludeResourceRules", ())
    if excluded and matching.find_version(excluded, attributes, served, match_policy=policy):
        return None
    rules = limits.get("resourceRules", ())
    version = attributes.asked or attributes.resource
    if rules:
        found = matching.find_version(rules, attributes, served, match_policy=policy)
        if found is None:
            return None
        version = found
    return version if await matching.selects(limits, document, attributes) else None
