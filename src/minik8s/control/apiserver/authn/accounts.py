"""Tokens of ServiceAccounts: what stands in them, and whether they still hold.

`requests` issues bound tokens; the tokens controller fills Secrets with those of the older form, which never expire and
hold as long as their Secret. A token says who it is for by names and uids; all of them are looked up on every request,
so deleting the account, the pod or the Secret revokes it at once.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from minik8s.control.apiserver.authn.readers import Refused, Verified
from minik8s.control.apiserver.authn.users import CREDENTIAL_ID, User
from minik8s.control.apiserver.duration import seconds_of
from minik8s.control.apiserver.resource import Document
from minik8s.kit import jws
from minik8s.kit.clock import Clock
from minik8s.kit.jws import BadToken, SigningKey, Token, VerificationKey

PREFIX = "system:serviceaccount:"
LEGACY_ISSUER = "kubernetes/serviceaccount"
LEGACY_TYPE = "kubernetes.io/service-account-token"
_GROUP = "system:serviceaccounts"
_EXTRA = "authentication.kubernetes.io/"
_LEGACY = "kubernetes.io/serviceaccount/"
_LEEWAY_S = 60.0  # As upstream: clocks differ, and what is being deleted keeps its token so long.
_BINDINGS = {"pod": "pods", "secret": "secrets", "node": "nodes"}


class Objects(Protocol):
    """Where objects are looked up: `admission.reader.ObjectReader`."""

    async def cached(self, plural: str, namespace: str, name: str) -> Document | None:
        """As of a moment ago."""
        ...

    async def get(self, plural: str, namespace: str, name: str) -> Document | None:
        """As of now."""
        ...


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """Keys and names of the tokens of one cluster; the same on all its apiservers."""

    signing_key: SigningKey | None = None  # None: none are issued
    keys: tuple[VerificationKey, ...] = ()  # with those of the past, for rotation
    issuers: tuple[str, ...] = ("https://kubernetes.default.svc.cluster.local",)  # the first issues, all are accepted
    audiences: tuple[str, ...] = ()  # of tokens for this API; empty: the first issuer
    expiration_s_max: int = 0  # 0: as long as is asked for
    jwks_uri: str = ""  # what the discovery document says; empty: it is made of the server's address

    @property
    def api_audiences(self) -> tuple[str, ...]:
        """Whom tokens for this API are for."""
        return self.audiences or self.issuers[:1]


def user_name(namespace: str, name: str) -> str:
    """How authorization calls a ServiceAccount."""
    return f"{PREFIX}{namespace}:{name}"


def account_user(namespace: str, name: str, uid: str, extra: Mapping[str, tuple[str, ...]] | None = None) -> User:
    """The user that a ServiceAccount is."""
    return User(user_name(namespace, name), (_GROUP, f"{_GROUP}:{namespace}"), uid, extra or {})


@dataclass(frozen=True, slots=True)
class AccountTokens:
    """Reads tokens of both forms."""

    config: AccountConfig
    objects: Objects
    clock: Clock

    async def read(self, token: str, audiences: Sequence[str]) -> Verified | None:
        """The ServiceAccount a token is of; None if another issuer has made it. Raises Refused, StatusError."""
        try:
            parsed = jws.parse(token)
        except BadToken:
            return None
        issuer = jws.text(parsed.claims, "iss")
        try:
            if issuer == LEGACY_ISSUER:
                jws.verify(parsed, self.config.keys)
                return await self._legacy(token, parsed.claims, audiences)
            if issuer not in self.config.issuers:
                return None
            jws.verify(parsed, self.config.keys)
            jws.check_times(parsed.claims, self.clock.now_s(), _LEEWAY_S)
            return await self._bound(parsed, audiences)
        except BadToken as error:
            raise Refused(str(error)) from None

    async def _bound(self, token: Token, audiences: Sequence[str]) -> Verified:
        claims = token.claims
        meant = jws.texts(claims, "aud") or self.config.api_audiences
        shared = tuple(each for each in audiences if each in meant)
        if not shared:
            raise Refused(f"token audiences {list(meant)} is invalid for the target audiences {list(audiences)}")
        private = _mapping(claims, "kubernetes.io")
        namespace, account = jws.text(private, "namespace"), _mapping(private, "serviceaccount")
        name, uid = jws.text(account, "name"), jws.text(account, "uid")
        if not namespace or not name or jws.text(claims, "sub") != user_name(namespace, name):
            raise Refused("sub claim does not match the claims of the service account")
        await self._check("serviceaccounts", namespace, name, uid)
        extra: dict[str, tuple[str, ...]] = {}
        if identifier := jws.text(claims, "jti"):
            extra[CREDENTIAL_ID] = (f"JTI={identifier}",)
        for kind, plural in _BINDINGS.items():
            bound = _mapping(private, kind)
            if not bound:
                continue
            bound_name, bound_uid = jws.text(bound, "name"), jws.text(bound, "uid")
            if kind != "node" or "pod" not in private:  # As upstream: a pod's node may go before the pod does.
                await self._check(plural, "" if kind == "node" else namespace, bound_name, bound_uid)
            if kind != "secret":
                extra |= {f"{_EXTRA}{kind}-name": (bound_name,), f"{_EXTRA}{kind}-uid": (bound_uid,)}
        return Verified(account_user(namespace, name, uid, extra), shared)

    async def _legacy(self, token: str, claims: Mapping[str, Any], audiences: Sequence[str]) -> Verified:
        shared = tuple(each for each in audiences if each in self.config.api_audiences)
        if not shared:
            raise Refused(f"the token is not for the target audiences {list(audiences)}")
        namespace = jws.text(claims, f"{_LEGACY}namespace")
        secret_name = jws.text(claims, f"{_LEGACY}secret.name")
        name, uid = (jws.text(claims, f"{_LEGACY}service-account.{each}") for each in ("name", "uid"))
        if not namespace or not secret_name or jws.text(claims, "sub") != user_name(namespace, name):
            raise Refused("sub claim does not match the claims of the service account")
        secret = await self._check("secrets", namespace, secret_name, "")
        if secret.get("type") != LEGACY_TYPE or _decoded(secret.get("data", {}).get("token", "")) != token:
            raise Refused("token does not match server's copy")
        await self._check("serviceaccounts", namespace, name, uid)
        return Verified(account_user(namespace, name, uid), shared)

    async def _check(self, plural: str, namespace: str, name: str, uid: str) -> Document:
        """The object, if it is there, has that uid (any if empty) and is not about to go. Raises Refused."""
        found = await self.objects.cached(plural, namespace, name) if name else None
        if found and uid and found["metadata"]["uid"] != uid:  # Perhaps it was made anew a moment ago.
            found = await self.objects.get(plural, namespace, name)
        if found is None:
            raise Refused(f"{plural} {name!r} has been deleted")
        if uid and found["metadata"]["uid"] != uid:
            raise Refused(f"{plural} {name!r} does not have the uid of the token")
        going = found["metadata"].get("deletionTimestamp")
        if going and seconds_of(going) < self.clock.now_s() - _LEEWAY_S:
            raise Refused(f"{plural} {name!r} has been deleted")
        return found


def bound_claims(
    config: AccountConfig,
    account: Document,
    *,
    audiences: Sequence[str],
    now_s: float,
    expiration_s: int,
    identifier: str,
    bound: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The claims of a bound token. `bound`: pod, node or secret → name and uid."""
    meta = account["metadata"]
    private = {"namespace": meta["namespace"], "serviceaccount": {"name": meta["name"], "uid": meta["uid"]}, **bound}
    now = int(now_s)
    return {
        "aud": list(audiences),
        "exp": now + expiration_s,
        "iat": now,
        "iss": config.issuers[0],
        "jti": identifier,
        "kubernetes.io": private,
        "nbf": now,
        "sub": user_name(meta["namespace"], meta["name"]),
    }


def _mapping(claims: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = claims.get(name)
    return value if isinstance(value, dict) else {}


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
