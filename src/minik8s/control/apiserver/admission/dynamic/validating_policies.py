"""ValidatingAdmissionPolicies: what must be true of objects that are written, and what happens where it is not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from minik8s.api.errors import REASON_CODES, Cause, StatusError
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.admission.dynamic.expressions import Scope
from minik8s.control.apiserver.admission.dynamic.policies import Case, Policies, Policy, parse_policy
from minik8s.control.apiserver.cel import CelError, Program
from minik8s.control.apiserver.resource import Document

_MESSAGE_CHARS_MAX = 5 * 1024
_FAILURE = "validation.policy.admission.k8s.io/validation_failure"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One validation."""

    expression: str
    program: Program
    message: str
    message_program: Program | None
    reason: str


@dataclass(frozen=True, slots=True)
class ValidatingPolicy:
    """A policy and its rules."""

    policy: Policy
    rules: tuple[_Rule, ...] = ()
    audits: tuple[tuple[str, Program], ...] = ()  # (key, value)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A rule that does not hold."""

    case: Case
    message: str
    reason: str = ""
    index: int = 0  # of the rule


@dataclass(slots=True)
class _Outcome:
    """What all policies came to."""

    denials: list[_Verdict] = field(default_factory=list)
    audited: list[Document] = field(default_factory=list)
    annotations: dict[str, list[str]] = field(default_factory=dict)


def parse(document: Document) -> ValidatingPolicy:
    """The policy in an object. Expressions that do not compile make it fail when it is used."""
    policy = parse_policy(document)
    try:
        rules = tuple(_rule(policy, each) for each in policy.spec.get("validations", ()))
        audits = tuple(
            (each.get("key", ""), policy.compile(each.get("valueExpression", "")))
            for each in policy.spec.get("auditAnnotations", ())
        )
    except CelError as error:
        return ValidatingPolicy(
            Policy(policy.name, policy.spec, policy.conditions, policy.variables, policy.fault or error)
        )
    return ValidatingPolicy(policy, rules, audits)


def _rule(policy: Policy, validation: Document) -> _Rule:
    said = validation.get("messageExpression", "")
    expression = validation.get("expression", "")
    return _Rule(
        expression.strip(),
        policy.compile(expression),
        validation.get("message", ""),
        policy.compile(said) if said else None,
        validation.get("reason") or "Invalid",
    )


class ValidatingPolicies(Plugin):
    """As k8s.io/apiserver/pkg/admission/plugin/policy/validating."""

    handles_connect = True

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Judge by every policy; the first denial is the answer. Raises StatusError."""
        outcome = _Outcome()
        for made in self._policies.policies.all():
            async for case in self._policies.cases(made, document, attributes):
                await _judge(made, case, attributes, outcome)
        if outcome.audited:
            attributes.audit[_FAILURE] = json.dumps(outcome.audited, separators=(",", ":"))
        for key, values in outcome.annotations.items():
            attributes.audit[key] = ", ".join(dict.fromkeys(values))
        if outcome.denials:
            raise _denial(outcome.denials[0], attributes)


async def _judge(made: ValidatingPolicy, case: Case, attributes: Attributes, outcome: _Outcome) -> None:
    if case.scope is None:
        verdicts = [] if case.policy.is_forgiven else [_Verdict(case, case.failure)]
        outcome.denials += verdicts  # As upstream: a policy that cannot be applied denies, whatever its actions.
        return
    verdicts = []
    for index, rule in enumerate(made.rules):
        verdict = await _apply(rule, index, case, case.scope)
        if verdict is not None:
            verdicts.append(verdict)
    for verdict in verdicts:
        _act(verdict, case, attributes, outcome)
    for key, program in made.audits:
        try:
            value = await case.scope.evaluate(program)
            if value is not None and not isinstance(value, str):
                raise CelError(f"valueExpression '{program.source}' resulted in unsupported return type")
        except CelError as error:
            if not case.policy.is_forgiven:
                outcome.denials.append(_Verdict(case, error.message))
            continue
        if value:
            outcome.annotations.setdefault(f"{case.policy.name}/{key}", []).append(value)


async def _apply(rule: _Rule, index: int, case: Case, scope: Scope) -> _Verdict | None:
    """What a rule has against the request; None if nothing."""
    try:
        value = await scope.evaluate(rule.program)
        if not isinstance(value, bool):
            raise CelError("must evaluate to bool")
    except CelError as error:
        if case.policy.is_forgiven:
            return None
        message = f"expression '{rule.expression}' resulted in error: {error.message}"
        return _Verdict(case, message, "Invalid", index)
    if value:
        return None
    return _Verdict(case, await _message(rule, scope), rule.reason, index)


async def _message(rule: _Rule, scope: Scope) -> str:
    """Why, in the words of the policy; an expression that gives no good message gives way to what is fixed."""
    if rule.message_program is not None:
        try:
            said = await scope.evaluate(rule.message_program)
        except CelError:
            said = ""
        if isinstance(said, str):
            said = said.strip()
            if said and "\n" not in said and len(said) <= _MESSAGE_CHARS_MAX:
                return said
    return rule.message.strip() or f"failed expression: {rule.expression}"


def _act(verdict: _Verdict, case: Case, attributes: Attributes, outcome: _Outcome) -> None:
    actions: Sequence[str] = case.binding.spec.get("validationActions", ())
    for action in actions:
        match action:
            case "Deny":
                outcome.denials.append(verdict)
            case "Warn":
                name, binding = case.policy.name, case.binding.name
                told = f"Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{binding}'"
                attributes.warn(f"{told}: {verdict.message}")
            case "Audit":
                outcome.audited.append(
                    {
                        "message": verdict.message,
                        "policy": case.policy.name,
                        "binding": case.binding.name,
                        "expressionIndex": verdict.index,
                        "validationActions": list(actions),
                    }
                )


def _denial(verdict: _Verdict, attributes: Attributes) -> StatusError:
    policy, binding = verdict.case.policy.name, verdict.case.binding.name
    message = f"ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {verdict.message}"
    refusal = attributes.refuse(message, [Cause("", message)])
    refusal.reason = verdict.reason or "Invalid"
    refusal.code = REASON_CODES.get(refusal.reason, 422)
    return refusal
