"""Authorizers in order, and the simple ones. Pure.

As upstream, members of system:masters pass whatever the modes are.
"""

from collections.abc import Sequence

from minik8s.control.apiserver.authz.attributes import NO_OPINION, Attributes, Authorizer, Decision, Verdict

MASTERS = "system:masters"
_ALLOW = Verdict(Decision.ALLOW)


class Chain:
    """The first opinion counts; the reasons of those without one are kept for the refusal."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Ask one after the other."""
        if MASTERS in attributes.user.groups:
            return _ALLOW
        reasons = []
        for authorizer in self._authorizers:
            verdict = await authorizer.authorize(attributes)
            if verdict.decision is not Decision.NO_OPINION:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
        return Verdict(Decision.NO_OPINION, ", ".join(reasons)) if reasons else NO_OPINION


class AlwaysAllow:
    """Everybody may do everything: mode AlwaysAllow."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Yes."""
        return _ALLOW


class AlwaysDeny:
    """Nobody but system:masters may do anything: mode AlwaysDeny."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        """No."""
        return Verdict(Decision.NO_OPINION, "Everything is forbidden.")
