"""Expressions over a request: what they see, and evaluating them with questions to the authorizer and a common limit.

Called by webhooks (match conditions) and policies.
"""

from asyncio import sleep
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.admission.dynamic.requests import Shown
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz import attributes as authz
from minik8s.control.apiserver.cel import Budget, CelError, Program
from minik8s.control.apiserver.cel.environments import compile_over
from minik8s.control.apiserver.cel.errors import COST_MAX, Aborted
from minik8s.control.apiserver.resource import Document

REQUEST_COST_MAX = 10 * 1_000_000
"""Steps of all expressions of one policy on one request, as upstream's RuntimeCELCostBudget."""
_LONG_STEPS = 20_000
_QUESTIONS_MAX = 100  # that one expression may ask the authorizer


class Scope:
    """What the expressions of one webhook or policy see of one request, and what they may cost together."""

    def __init__(
        self, shown: Shown, attributes: Attributes, authorizer: authz.Authorizer, more: Mapping[str, Any] | None = None
    ) -> None:
        from minik8s.control.apiserver.cel.authorization import Authorizer  # With the first expression.

        self.shown = shown
        user = User(attributes.user_name, tuple(attributes.groups))
        self._authorizer = authorizer
        self._asking = Authorizer(user, request=shown.request)
        self.budget = Budget(REQUEST_COST_MAX)
        self.bindings: dict[str, Any] = {
            "object": shown.object,
            "oldObject": shown.old,
            "request": shown.request,
            "authorizer": self._asking,
            **(more or {}),
        }

    def using(self, **more: Any) -> "Scope":
        """The same with other values of some names."""
        other = object.__new__(Scope)
        other.__dict__ = self.__dict__ | {"bindings": self.bindings | more}
        return other

    def define(self, variables: Sequence["Variable"]) -> None:
        """Bind `variables`: each is evaluated when it is first looked at, and once."""
        self.bindings["variables"] = _Variables(variables, self)

    async def evaluate(self, program: Program) -> Any:
        """The value. Raises CelError."""
        from minik8s.control.apiserver.cel.authorization import Undecided

        for _ in range(_QUESTIONS_MAX):
            budget = self.one()
            try:
                value = program.evaluate(self.bindings, budget)
                if budget.left < COST_MAX - _LONG_STEPS:
                    await sleep(0)  # What takes long takes turns with other requests.
                return value
            except Undecided as undecided:
                verdict = await self._authorizer.authorize(undecided.question)
                self._asking.answers[undecided.question] = verdict
        raise CelError(f"more than {_QUESTIONS_MAX} questions to the authorizer")

    def one(self) -> Budget:
        """The budget of one evaluation, which the common one pays."""
        return _Part(self.budget)


class _Part(Budget):
    """The steps of one evaluation within those of all."""

    __slots__ = ("_whole",)

    def __init__(self, whole: Budget) -> None:
        super().__init__()
        self._whole = whole

    def spend(self, steps: int) -> None:
        super().spend(steps)
        self._whole.spend(steps)


@dataclass(frozen=True, slots=True)
class Variable:
    """A named expression of a policy."""

    name: str
    program: Program


class _Variables(Mapping[str, Any]):
    def __init__(self, variables: Sequence[Variable], scope: Scope) -> None:
        self._programs = {variable.name: variable.program for variable in variables}
        self._scope = scope
        self._found: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            try:
                self._found[name] = self._programs[name].evaluate(self._scope.bindings, self._scope.one())
            except Aborted:
                raise
            except CelError as error:
                raise CelError(f'composited variable "{name}" fails to evaluate: {error.message}') from error
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._programs)

    def __len__(self) -> int:
        return len(self._programs)


@dataclass(slots=True)
class Conditions:
    """Match conditions: all must hold. One that fails is an error, unless another one is false."""

    programs: list[tuple[str, Program]] = field(default_factory=list)
    fault: CelError | None = None  # of one that does not compile

    async def hold(self, scope: Scope) -> bool:
        """Whether the request is meant. Raises CelError."""
        failure = self.fault
        for name, program in self.programs:
            try:
                value = await scope.evaluate(program)
                if value is False:
                    return False
                if value is not True:
                    raise CelError("must evaluate to bool")
            except CelError as error:
                shown = f"expression '{program.source}' resulted in error: {error.message}"
                failure = failure or CelError(f"{name}: {shown}" if isinstance(error, Aborted) else shown)
        if failure:
            raise failure
        return True


def compile_conditions(
    conditions: Sequence[Document], names: Sequence[str], variables: Sequence[str] | None = None
) -> Conditions:
    """Match conditions as they stand in a configuration; faults are kept for when they are used."""
    made = Conditions()
    for condition in conditions:
        try:
            made.programs.append(
                (condition.get("name", ""), compile_over(condition.get("expression", ""), names, variables))
            )
        except CelError as error:
            made.fault = made.fault or error
    return made
