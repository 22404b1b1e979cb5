"""The authenticator of an apiserver, put together of what it is configured with. Called by `core`."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509

from minik8s.control.apiserver.asker import WebhookConfig
from minik8s.control.apiserver.authn.accounts import AccountConfig, AccountTokens, Objects
from minik8s.control.apiserver.authn.authenticator import Authenticator
from minik8s.control.apiserver.authn.bootstraptokens import BootstrapTokens
from minik8s.control.apiserver.authn.certificates import CertificateReader
from minik8s.control.apiserver.authn.frontproxy import FrontProxy, FrontProxyConfig
from minik8s.control.apiserver.authn.impersonation import Impersonator
from minik8s.control.apiserver.authn.oidc import JwtConfig, JwtReader
from minik8s.control.apiserver.authn.readers import TokenReader, Verified
from minik8s.control.apiserver.authn.tokenfile import TokenFile
from minik8s.control.apiserver.authn.tokenwebhook import TokenWebhook
from minik8s.control.apiserver.authz.attributes import Authorizer
from minik8s.kit.clock import Clock


@dataclass(frozen=True, slots=True)
class AuthenticationConfig:
    """Who is believed."""

    accounts: AccountConfig = field(default_factory=AccountConfig)
    client_authorities: tuple[x509.Certificate, ...] = ()  # empty: whoever TLS trusts
    front_proxy: FrontProxyConfig | None = None
    token_file: TokenFile | None = None
    are_bootstrap_tokens_enabled: bool = False
    issuers: tuple[JwtConfig, ...] = ()
    webhook: WebhookConfig | None = None
    is_anonymous_allowed: bool = True


@dataclass(frozen=True, slots=True)
class ForThisApi:
    """Tokens that say nothing of who they are for, or name clients of their issuer: they are for this API."""

    reader: TokenReader
    audiences: tuple[str, ...]

    async def read(self, token: str, audiences: Sequence[str]) -> Verified | None:
        """As the reader; None if this API is not among the audiences asked about. Raises Refused."""
        shared = tuple(each for each in audiences if each in self.audiences)
        return await self.reader.read(token, shared) if shared else None


def build(
    config: AuthenticationConfig, objects: Objects, authorizer: Authorizer, *, clock: Clock, rng: random.Random
) -> Authenticator:
    """Tokens are tried in upstream's order."""
    readers: list[TokenReader] = []
    own = config.accounts.api_audiences
    if config.token_file:
        readers.append(ForThisApi(config.token_file, own))
    if config.accounts.keys:
        readers.append(AccountTokens(config.accounts, objects, clock))
    if config.are_bootstrap_tokens_enabled:
        readers.append(ForThisApi(BootstrapTokens(objects, clock), own))
    readers += [ForThisApi(JwtReader(issuer, clock=clock), own) for issuer in config.issuers]
    if config.webhook:
        readers.append(TokenWebhook(config.webhook, own, clock=clock, rng=rng))
    return Authenticator(
        clock,
        tokens=tuple(readers),
        front_proxy=FrontProxy(config.front_proxy, clock) if config.front_proxy else None,
        certificates=CertificateReader(clock, config.client_authorities),
        impersonation=Impersonator(authorizer),
        audiences=own,
        is_anonymous_allowed=config.is_anonymous_allowed,
    )
