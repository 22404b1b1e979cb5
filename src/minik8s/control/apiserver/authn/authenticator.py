"""Credentials to a user: front proxy, client certificate, bearer token, else anonymous; then impersonation.

Called by `http` and `grpc` for every request, and by reviews of tokens. Whoever shows something that is wrong is
refused with 401: bad credentials are never just anonymous.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from minik8s.api.errors import unauthorized
from minik8s.control.apiserver.authn.credentials import Credentials, bearer_token
from minik8s.control.apiserver.authn.readers import Refused, RequestReader, TokenReader, Verified
from minik8s.control.apiserver.authn.users import ANONYMOUS, User
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger

log = get_logger(__name__)


class Impersonation(Protocol):
    """Who acts as somebody else."""

    async def apply(self, user: User, credentials: Credentials, /) -> User:
        """The user that is meant. Raises StatusError Forbidden, InternalError."""
        ...


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Everybody who is asked, in order. The first who knows decides."""

    clock: Clock
    tokens: Sequence[TokenReader] = ()
    front_proxy: RequestReader | None = None
    certificates: RequestReader | None = None
    impersonation: Impersonation | None = None
    audiences: tuple[str, ...] = field(default=())  # what a token may be for if it is to open this API
    is_anonymous_allowed: bool = True

    async def authenticate(self, credentials: Credentials) -> User:
        """Who is calling, in whose name. Raises StatusError Unauthorized; Forbidden if they may not impersonate."""
        user = await self._caller(credentials)
        return await self.impersonation.apply(user, credentials) if self.impersonation else user

    async def review(self, token: str, audiences: Sequence[str] = ()) -> Verified:
        """The user of a token for any of `audiences`, those of this API if none are given. Raises Refused."""
        reasons = []
        for reader in self.tokens:
            try:
                verified = await reader.read(token, tuple(audiences) or self.audiences)
            except Refused as refused:
                reasons.append(str(refused))
                continue
            if verified:
                return Verified(verified.user.authenticated(), verified.audiences)
        raise Refused(", ".join(reasons) or "nobody knows a token of this sort")

    async def _caller(self, credentials: Credentials) -> User:
        reasons = []
        for reader in (self.front_proxy, self.certificates):
            try:
                if reader and (user := reader.read(credentials)):
                    return user.authenticated()
            except Refused as refused:  # As upstream: another credential of the same request may still be good.
                reasons.append(str(refused))
        token = bearer_token(credentials)
        if token is not None:
            try:
                return (await self.review(token)).user
            except Refused as refused:
                reasons.append(str(refused))
        if reasons:
            log.info("unable to authenticate the request", error=", ".join(reasons))
            raise unauthorized()
        if not self.is_anonymous_allowed:
            raise unauthorized()
        return ANONYMOUS
