"""Tokens of OpenID issuers: JWTs of others, by whose claims the user is named.

What is asked of the claims and how they become a user is configuration (`jwtconfig`): functions of the claims, some of
them made of CEL expressions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minik8s.control.apiserver.authn.issuer import Issuer
from minik8s.control.apiserver.authn.readers import Refused, Verified
from minik8s.control.apiserver.authn.users import CREDENTIAL_ID, User
from minik8s.kit import jws
from minik8s.kit.clock import Clock
from minik8s.kit.jws import BadToken

Claims = Mapping[str, Any]
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
_NOT_BEFORE_LEEWAY_S = 300.0  # As go-oidc.


@dataclass(frozen=True, slots=True)
class JwtConfig:
    """What is believed of one issuer. Functions raise Refused for claims that are not as they must be."""

    url: str
    audiences: tuple[str, ...]  # whom its tokens must be for, one of them
    username: Callable[[Claims], str]
    groups: Callable[[Claims], tuple[str, ...]] = field(default=lambda claims: ())
    uid: Callable[[Claims], str] = field(default=lambda claims: "")
    extra: tuple[tuple[str, Callable[[Claims], tuple[str, ...]]], ...] = ()
    claim_rules: tuple[Callable[[Claims], None], ...] = ()
    user_rules: tuple[Callable[[User], None], ...] = ()
    algorithms: tuple[str, ...] = ALGORITHMS
    discovery_url: str = ""
    ca_pem: str = ""


class JwtReader:
    """Reads the tokens of one issuer."""

    def __init__(self, config: JwtConfig, *, clock: Clock) -> None:
        """Raises SSLError for authorities that cannot be used."""
        self._config = config
        self._clock = clock
        self._issuer = Issuer(config.url, discovery_url=config.discovery_url, ca_pem=config.ca_pem, clock=clock)

    async def read(self, token: str, audiences: Sequence[str]) -> Verified | None:
        """The user; None for tokens of others. Raises Refused."""
        try:
            parsed = jws.parse(token)
            if jws.text(parsed.claims, "iss") != self._config.url:
                return None
        except BadToken:
            return None
        try:
            if parsed.algorithm not in self._config.algorithms:
                raise Refused("oidc: the algorithm of the signature is not accepted")
            jws.verify(parsed, await self._issuer.keys(parsed.key_id))
            jws.check_times(parsed.claims, self._clock.now_s(), 0.0, not_before_leeway_s=_NOT_BEFORE_LEEWAY_S)
            if not set(jws.texts(parsed.claims, "aud")) & set(self._config.audiences):
                raise Refused("oidc: the token is for another audience")
            return Verified(self._user(parsed.claims), tuple(audiences))
        except BadToken as error:
            raise Refused(f"oidc: {error}") from None

    def _user(self, claims: Claims) -> User:
        config = self._config
        for check in config.claim_rules:
            check(claims)
        name = config.username(claims)
        if not name:
            raise Refused("oidc: the token names no user")
        extra = {key: values for key, function in config.extra if (values := function(claims))}
        if identifier := jws.text(claims, "jti"):
            extra[CREDENTIAL_ID] = (f"JTI={identifier}",)
        user = User(name, config.groups(claims), config.uid(claims), extra)
        for rule in config.user_rules:
            rule(user)
        return user


def claim_text(name: str, prefix: str = "") -> Callable[[Claims], str]:
    """A claim that is text, behind a prefix. An e-mail address counts unless the issuer has not verified it."""

    def read(claims: Claims) -> str:
        value = claims.get(name)
        if not isinstance(value, str) or not value:
            raise Refused(f"oidc: the claim {name!r} is not there, or is not text")
        if name == "email" and claims.get("email_verified", True) is not True:
            raise Refused("oidc: the e-mail address has not been verified")
        return prefix + value

    return read


def claim_texts(name: str, prefix: str = "") -> Callable[[Claims], tuple[str, ...]]:
    """A claim that is a text or several, each behind a prefix; none if it is not there."""

    def read(claims: Claims) -> tuple[str, ...]:
        try:
            return tuple(prefix + value for value in jws.texts(claims, name))
        except BadToken as error:
            raise Refused(f"oidc: {error}") from None

    return read


def claim_is(name: str, wanted: str) -> Callable[[Claims], None]:
    """A claim that must be this text."""

    def check(claims: Claims) -> None:
        if claims.get(name) != wanted:
            raise Refused(f"oidc: the claim {name!r} is not what is required")

    return check
