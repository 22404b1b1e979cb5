"""Authorizers in order, and the simple ones. Pure.

As upstream, members of system:masters pass whatever the modes are.
"""

from collections.abc import Sequence
from typing import Protocol

from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import NO_OPINION, Attributes, Authorizer, Decision, Verdict
from minik8s.control.apiserver.authz.rules import Rule

MASTERS = "system:masters"
_ALLOW = Verdict(Decision.ALLOW)


class Mode(Authorizer, Protocol):
    """An authorizer that can list what it allows, as far as that can be listed."""

    async def rules_for(self, user: User, namespace: str, /) -> tuple[list[Rule], list[str], bool]:
        """(rules for a user in a namespace, what went wrong, whether these are all)."""
        ...

    async def close(self) -> None:
        """Let go of what is held."""
        ...


class Chain:
    """The first opinion counts; the reasons of those without one are kept for the refusal."""

    def __init__(self, authorizers: Sequence[Mode]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Ask one after the other."""
        if MASTERS in attributes.user.groups:
            return _ALLOW
        reasons, faults = [], []
        for authorizer in self._authorizers:
            verdict = await authorizer.authorize(attributes)
            if verdict.decision is not Decision.NO_OPINION:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
            if verdict.error:
                faults.append(verdict.error)
        return Verdict(Decision.NO_OPINION, ", ".join(reasons), ", ".join(faults)) if reasons or faults else NO_OPINION

    async def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str], bool]:
        """(every rule known for a user in a namespace, why there may be more, whether these are all)."""
        found: list[Rule] = []
        faults: list[str] = []
        is_complete = True
        for authorizer in self._authorizers:
            more, why, is_all = await authorizer.rules_for(user, namespace)
            found += more
            faults += why
            is_complete = is_complete and is_all
        return found, faults, is_complete

    async def close(self) -> None:
        """Let go of what authorizers hold."""
        for authorizer in self._authorizers:
            await authorizer.close()


class AlwaysAllow:
    """Everybody may do everything: mode AlwaysAllow."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Yes."""
        return _ALLOW

    async def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str], bool]:
        """All there are."""
        everything = Rule(verbs=("*",), groups=("*",), resources=("*",))
        return [everything, Rule(verbs=("*",), urls=("*",))], [], True

    async def close(self) -> None:
        """Nothing is held."""


class AlwaysDeny:
    """Nobody but system:masters may do anything: mode AlwaysDeny."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        """No."""
        return Verdict(Decision.NO_OPINION, "Everything is forbidden.")

    async def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str], bool]:
        """None."""
        return [], [], True

    async def close(self) -> None:
        """Nothing is held."""
