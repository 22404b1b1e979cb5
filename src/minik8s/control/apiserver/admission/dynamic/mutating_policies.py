"""MutatingAdmissionPolicies: changes of objects that are written, in CEL: configurations to apply, and JSON patches."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minik8s.api.errors import Cause, StatusError
from minik8s.control.apiserver import patch, topology_builtin, topology_custom, typed
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.admission.dynamic.expressions import Scope
from minik8s.control.apiserver.admission.dynamic.policies import Case, Policies, Policy, parse_policy
from minik8s.control.apiserver.admission.dynamic.requests import OTHER_KINDS, Shown
from minik8s.control.apiserver.admission.dynamic.webhooks import replace_with
from minik8s.control.apiserver.cel import CelError, Program
from minik8s.control.apiserver.cel.json_values import to_json
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.topology import Deduced, Fields, Items, Leaf, Node

JSON_PATCH, APPLY = "JSONPatch", "ApplyConfiguration"
_FIELDS = {JSON_PATCH: "jsonPatch", APPLY: "applyConfiguration"}
_PATCH_FIELDS = frozenset({"op", "path", "from", "value"})


@dataclass(frozen=True, slots=True)
class MutatingPolicy:
    """A policy and its mutations: (patch type, program)."""

    policy: Policy
    mutations: tuple[tuple[str, Program], ...] = ()


def parse(document: Document) -> MutatingPolicy:
    """The policy in an object. Expressions that do not compile make it fail when it is used."""
    policy = parse_policy(document)
    try:
        mutations = tuple(
            (each["patchType"], policy.compile(each.get(_FIELDS[each["patchType"]], {}).get("expression", "")))
            for each in policy.spec.get("mutations", ())
        )
    except CelError as error:
        return MutatingPolicy(
            Policy(policy.name, policy.spec, policy.conditions, policy.variables, policy.fault or error)
        )
    return MutatingPolicy(policy, mutations)


class MutatingPolicies(Plugin):
    """As k8s.io/apiserver/pkg/admission/plugin/policy/mutating: in the order of names, then again those that ask."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Change the document in place. Raises StatusError."""
        if attributes.operation == "DELETE" or attributes.subresource in OTHER_KINDS:
            return
        made = self._policies.policies.all()
        seen: list[tuple[MutatingPolicy, Document]] = []
        for each in made:
            if await self._run(each, document, attributes):
                seen.append((each, copy.deepcopy(document)))
        for each, state in seen:
            if each.policy.spec.get("reinvocationPolicy") == "IfNeeded" and state != document:
                await self._run(each, document, attributes)

    async def again(self, document: Document, attributes: Attributes) -> None:
        """Run those that want to see what was changed after them."""
        if attributes.operation == "DELETE" or attributes.subresource in OTHER_KINDS:
            return
        for each in self._policies.policies.all():
            if each.policy.spec.get("reinvocationPolicy") == "IfNeeded":
                await self._run(each, document, attributes)

    async def _run(self, made: MutatingPolicy, document: Document, attributes: Attributes) -> bool:
        """Whether the policy concerned the request. Raises StatusError."""
        was_meant = False
        async for case in self._policies.cases(made, document, attributes):
            was_meant = True
            try:
                if case.scope is None:
                    raise CelError(case.failure)
                await _mutate(made, case.scope, document, attributes)
            except CelError as error:
                if not case.policy.is_forgiven:
                    raise _refusal(case, error.message, attributes) from None
        return was_meant


class Again(Plugin):
    """Mutating policies once more, after webhooks have changed the object."""

    def __init__(self, policies: MutatingPolicies) -> None:
        self._policies = policies

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError."""
        await self._policies.again(document, attributes)


async def _mutate(made: MutatingPolicy, scope: Scope, document: Document, attributes: Attributes) -> None:
    """All mutations of a policy, or none. Raises CelError."""
    shown = scope.shown
    before = shown.object
    for kind, program in made.mutations:
        try:
            value = to_json(await scope.evaluate(program), scope.one())
            shown.object = _patched(shown, value) if kind == JSON_PATCH else _applied(shown, value)
        except CelError as error:
            shown.object = before
            raise CelError(f"expression '{program.source.strip()}' resulted in error: {error.message}") from None
        scope.bindings["object"] = shown.object
    try:
        if shown.object != before:
            await replace_with(shown, document, attributes)
    except StatusError as error:
        raise CelError(error.message) from None


def _patched(shown: Shown, operations: Any) -> Document:
    if not isinstance(operations, list) or not all(
        isinstance(each, dict) and each.keys() <= _PATCH_FIELDS for each in operations
    ):
        raise CelError("the expression must evaluate to a list of JSONPatch")
    try:
        changed = patch.apply_json_patch(copy.deepcopy(shown.object), operations)
    except (patch.PatchFailed, RecursionError) as error:
        raise CelError(f"JSON patch failed: {error}") from None
    if not isinstance(changed, dict):
        raise CelError("the patch leaves no object")
    return changed


def _applied(shown: Shown, config: Any) -> Document:
    if not isinstance(config, dict):
        raise CelError("the expression must evaluate to an Object")
    topology = _topology(shown.view.resource or shown.version)
    if atomic := list(_atomic(topology, config, "")):
        what = "may not mutate atomic arrays, maps or structs"
        raise CelError(f"error applying patch: invalid ApplyConfiguration: {what}: {', '.join(atomic)}")
    merged: Document = typed.merge(topology, copy.deepcopy(shown.object), config)
    return merged


def _topology(resource: Resource) -> Fields:
    return (
        topology_custom.topology_of(resource.custom.schema)
        if resource.custom
        else topology_builtin.topology_of(resource.model)
    )


def _atomic(node: Node, value: Any, path: str) -> Iterator[str]:
    """The paths of what can only be replaced as a whole, which an apply configuration must leave alone."""
    if isinstance(node, Leaf | Deduced):
        if isinstance(node, Leaf) and isinstance(value, list | dict):
            yield path
    elif isinstance(node, Fields) and isinstance(value, dict):
        for name, each in value.items():
            yield from _atomic(node.below(name), each, f"{path}.{name}")
    elif isinstance(node, Items) and isinstance(value, list):
        for index, each in enumerate(value):
            yield from _atomic(node.item, each, f"{path}[{index}]")


def _refusal(case: Case, why: str, attributes: Attributes) -> StatusError:
    message = f"policy '{case.policy.name}' with binding '{case.binding.name}' denied request: {why}"
    refusal = attributes.refuse(message, [Cause("", message)])
    refusal.reason, refusal.code = "Invalid", 422
    return refusal
