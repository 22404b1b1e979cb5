"""kube-apiserver's flags about who is believed, and the configuration made of the answers."""

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from minik8s.cli.authorization_flags import parse_webhook
from minik8s.cli.client_flags import DURATION
from minik8s.control.apiserver.asker import WebhookConfig
from minik8s.control.apiserver.authn import tokenfile
from minik8s.control.apiserver.authn.accounts import AccountConfig
from minik8s.control.apiserver.authn.assembly import AuthenticationConfig
from minik8s.control.apiserver.authn.frontproxy import FrontProxyConfig
from minik8s.control.apiserver.authn.oidc import JwtConfig
from minik8s.kit import jws
from minik8s.kit.run import StartError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OIDC_NAMES = (
    "client_id",
    "username_claim",
    "username_prefix",
    "groups_claim",
    "groups_prefix",
    "required_claim",
    "signing_algs",
    "ca_file",
)
_ISSUER = "https://kubernetes.default.svc.cluster.local"

_FLAGS = (
    click.option(
        "--service-account-signing-key-file", type=_FILE, help="Private key that signs ServiceAccounts' tokens."
    ),
    click.option(
        "--service-account-key-file",
        type=_FILE,
        multiple=True,
        help="Key that verifies them, public or private; repeat it while keys are rotated.  [default: the signing key]",
    ),
    click.option(
        "--service-account-issuer",
        multiple=True,
        default=[_ISSUER],
        show_default=True,
        help="Issuer of the tokens. Of several the first issues, all are accepted.",
    ),
    click.option("--service-account-jwks-uri", default="", help="Where others find our keys, if not at this server."),
    click.option(
        "--service-account-max-token-expiration",
        type=DURATION,
        default="0s",
        show_default=True,
        help="How long a token may live; 0s: as long as is asked for.",
    ),
    click.option(
        "--api-audiences", default="", metavar="NAME,…", help="Whom tokens for this API are for.  [default: the issuer]"
    ),
    click.option(
        "--anonymous-auth", type=bool, default=True, show_default=True, help="Serve callers without credentials."
    ),
    click.option("--token-auth-file", type=_FILE, help='File of static tokens: lines of token,user,uid,"group,group".'),
    click.option(
        "--enable-bootstrap-token-auth",
        type=bool,
        is_flag=True,
        default=False,
        help="Accept bootstrap tokens, Secrets in kube-system.",
    ),
    click.option("--oidc-issuer-url", default="", help="Issuer of OpenID tokens, https only."),
    click.option("--oidc-client-id", default="", help="Whom its tokens must be for."),
    click.option("--oidc-username-claim", default="sub", show_default=True, help="Claim that names the user."),
    click.option(
        "--oidc-username-prefix",
        default="",
        help="Before the name; -: nothing.  [default: ISSUER#; for email none]",
    ),
    click.option("--oidc-groups-claim", default="", help="Claim that names the user's groups."),
    click.option("--oidc-groups-prefix", default="", help="Before each group."),
    click.option("--oidc-required-claim", multiple=True, metavar="NAME=VALUE", help="A claim that must be so."),
    click.option("--oidc-signing-algs", default="RS256", show_default=True, metavar="NAME,…"),
    click.option("--oidc-ca-file", type=_FILE, help="Authority of the issuer's certificate.  [default: the machine's]"),
    click.option("--authentication-config", type=_FILE, help="An AuthenticationConfiguration with jwt issuers."),
    click.option(
        "--authentication-token-webhook-config-file", type=_FILE, help="Kubeconfig of a webhook that knows tokens."
    ),
    click.option("--authentication-token-webhook-cache-ttl", type=DURATION, default="2m", show_default=True),
    click.option(
        "--authentication-token-webhook-version",
        type=click.Choice(["v1"]),
        default="v1",
        show_default=True,
        help="Version of the TokenReview.",
    ),
    click.option(
        "--requestheader-client-ca-file", type=_FILE, help="Authority that signs the certificates of front proxies."
    ),
    click.option(
        "--requestheader-allowed-names",
        default="",
        metavar="NAME,…",
        help="Common names of front proxies.  [default: any]",
    ),
    click.option("--requestheader-username-headers", default="X-Remote-User", show_default=True, metavar="NAME,…"),
    click.option("--requestheader-uid-headers", default="X-Remote-Uid", show_default=True, metavar="NAME,…"),
    click.option("--requestheader-group-headers", default="X-Remote-Group", show_default=True, metavar="NAME,…"),
    click.option(
        "--requestheader-extra-headers-prefix", default="X-Remote-Extra-", show_default=True, metavar="PREFIX,…"
    ),
)


def authentication_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add the flags to a command."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def authentication(flags: dict[str, Any], client_ca_file: Path) -> AuthenticationConfig:
    """The configuration; takes its flags out of `flags`. Raises ClickException for files that cannot be used."""
    try:
        return _authentication(flags, client_ca_file)
    except StartError as error:
        raise click.ClickException(str(error)) from error


def _authentication(flags: dict[str, Any], client_ca_file: Path) -> AuthenticationConfig:
    accounts = _accounts(flags)
    front_proxy = _front_proxy(flags)
    token_file: Path | None = flags.pop("token_auth_file")
    return AuthenticationConfig(
        accounts=accounts,
        # Told apart only where TLS trusts more than one authority.
        client_authorities=_certificates(client_ca_file) if front_proxy else (),
        front_proxy=front_proxy,
        token_file=tokenfile.load(token_file) if token_file else None,
        issuers=_issuers(flags),
        webhook=_webhook(flags),
        are_bootstrap_tokens_enabled=flags.pop("enable_bootstrap_token_auth"),
        is_anonymous_allowed=flags.pop("anonymous_auth"),
    )


def _issuers(flags: dict[str, Any]) -> tuple[JwtConfig, ...]:
    url, path = flags.pop("oidc_issuer_url"), flags.pop("authentication_config")
    given = {name: flags.pop(f"oidc_{name}") for name in _OIDC_NAMES}
    if url and path:
        raise StartError("--oidc-issuer-url and --authentication-config exclude each other")
    if not url and not path:
        return ()
    from minik8s.control.apiserver import yaml_body
    from minik8s.control.apiserver.authn import jwtconfig

    try:
        if path:
            found = jwtconfig.of_document(yaml_body.load(path.read_bytes()))
        else:
            ca_file: Path | None = given.pop("ca_file")
            algorithms = _names(given.pop("signing_algs"))
            required = given.pop("required_claim")
            ca_pem = ca_file.read_text() if ca_file else ""
            more = {"required_claims": required, "signing_algorithms": algorithms, "ca_pem": ca_pem}
            found = (jwtconfig.of_flags(issuer_url=url, **given, **more),)
        for config in found:
            ssl.create_default_context(cadata=config.ca_pem or None)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise StartError(f"cannot use the configuration of token issuers: {error}") from error
    return found


def _webhook(flags: dict[str, Any]) -> WebhookConfig | None:
    path: Path | None = flags.pop("authentication_token_webhook_config_file")
    ttl_s: float = flags.pop("authentication_token_webhook_cache_ttl")
    flags.pop("authentication_token_webhook_version")
    if path is None:
        return None
    from minik8s.control.apiserver import yaml_body

    try:
        return parse_webhook(yaml_body.load(path.read_bytes()), path.parent, allowed_ttl_s=ttl_s, denied_ttl_s=ttl_s)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise StartError(f"--authentication-token-webhook-config-file: {error}") from error


def _accounts(flags: dict[str, Any]) -> AccountConfig:
    signing_file: Path | None = flags.pop("service_account_signing_key_file")
    key_files: Sequence[Path] = flags.pop("service_account_key_file")
    try:
        signing_key = jws.read_signing_key(signing_file) if signing_file else None
        keys = tuple(jws.read_verification_key(file) for file in key_files)
    except (OSError, jws.BadKey) as error:
        raise StartError(f"cannot use a key of ServiceAccounts: {error}") from error
    return AccountConfig(
        signing_key=signing_key,
        keys=keys or ((signing_key.public,) if signing_key else ()),
        issuers=tuple(flags.pop("service_account_issuer")),
        audiences=_names(flags.pop("api_audiences")),
        expiration_s_max=int(flags.pop("service_account_max_token_expiration")),
        jwks_uri=flags.pop("service_account_jwks_uri"),
    )


def _front_proxy(flags: dict[str, Any]) -> FrontProxyConfig | None:
    ca_file: Path | None = flags.pop("requestheader_client_ca_file")
    allowed = _names(flags.pop("requestheader_allowed_names"))
    headers = {
        name: tuple(each.lower() for each in _names(flags.pop(f"requestheader_{flag}")))
        for name, flag in {
            "user_headers": "username_headers",
            "uid_headers": "uid_headers",
            "group_headers": "group_headers",
            "extra_prefixes": "extra_headers_prefix",
        }.items()
    }
    return FrontProxyConfig(_certificates(ca_file), allowed, **headers) if ca_file else None


def _certificates(file: Path) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise StartError(f"cannot use the certificates in {file}: {error}") from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
