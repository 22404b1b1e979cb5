"""kube-apiserver's flags about who is believed: what they mean, and what is said of wrong ones."""

import json

import click
import pytest
from click.testing import CliRunner

from minik8s.cli.authentication_flags import authentication, authentication_flags
from minik8s.kit import jws
from minik8s.kit.tls import Authority

SERVER = "http://127.0.0.1:1/"


@pytest.fixture
def files(tmp_path):
    """Paths by name: keys, authorities, a token file, configuration files, and one that holds nothing of use."""
    paths = {name: tmp_path / name for name in ("key", "old", "tokens", "jwt", "hook", "bad")}
    for name in ("key", "old"):
        paths[name].write_bytes(jws.generate())
    paths["tokens"].write_text("secret,bob,u1\n")
    paths["bad"].write_text("nothing: [of use")
    mappings = {"username": {"claim": "sub", "prefix": ""}}
    issuer = {"url": "https://issuer", "audiences": ["us"]}
    document = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
    paths["jwt"].write_text(json.dumps(document | {"jwt": [{"issuer": issuer, "claimMappings": mappings}]}))
    contexts = {"contexts": [{"name": "c", "context": {"cluster": "c"}}], "current-context": "c"}
    paths["hook"].write_text(json.dumps(contexts | {"clusters": [{"name": "c", "cluster": {"server": SERVER}}]}))
    for name in ("clients", "proxies"):
        paths[name] = Authority(tmp_path / "pki", name).cert_file
    return paths


def configured(files, *args):
    """(the configuration that these flags mean, nothing) or (nothing, what was said)."""
    found = []

    @click.command()
    @authentication_flags
    def command(**flags):
        found.append(authentication(flags, files["clients"]))
        assert flags == {}  # Each was taken.

    given = [str(files.get(arg[1:])) if arg.startswith("@") else arg for arg in args]
    result = CliRunner().invoke(command, given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return (found[0] if found else None), result.output


def test_without_flags_only_certificates_and_nobody_are_believed(files):
    config, _ = configured(files)
    assert (config.accounts.signing_key, config.accounts.keys, config.issuers) == (None, (), ())
    assert (config.front_proxy, config.token_file, config.webhook) == (None, None, None)
    assert config.is_anonymous_allowed and not config.are_bootstrap_tokens_enabled
    assert config.client_authorities == ()


def test_the_signing_key_also_verifies_unless_others_are_named(files):
    config, _ = configured(files, "--service-account-signing-key-file", "@key")
    assert config.accounts.keys == (config.accounts.signing_key.public,)
    args = ["--service-account-key-file", "@key", "--service-account-key-file", "@old"]
    config, _ = configured(files, "--service-account-signing-key-file", "@key", *args)
    assert len(config.accounts.keys) == 2


def test_the_first_issuer_is_the_audience_unless_others_are_named(files):
    issuers = ["--service-account-issuer", "https://new", "--service-account-issuer", "https://old"]
    config, _ = configured(files, *issuers)
    assert (config.accounts.issuers, config.accounts.api_audiences) == (
        ("https://new", "https://old"),
        ("https://new",),
    )
    config, _ = configured(files, "--api-audiences", "a, b", "--service-account-max-token-expiration", "2h")
    assert (config.accounts.api_audiences, config.accounts.expiration_s_max) == (("a", "b"), 7200)


def test_the_other_credentials(files):
    config, _ = configured(
        files,
        *("--token-auth-file", "@tokens", "--enable-bootstrap-token-auth", "--anonymous-auth", "false"),
        *("--requestheader-client-ca-file", "@proxies", "--requestheader-username-headers", "X-User,X-Remote-User"),
        *("--authentication-config", "@jwt", "--authentication-token-webhook-config-file", "@hook"),
    )
    assert config.token_file.users[0][1].name == "bob"
    assert config.are_bootstrap_tokens_enabled and not config.is_anonymous_allowed
    assert config.front_proxy.user_headers == ("x-user", "x-remote-user")
    assert len(config.client_authorities) == 1  # Proxies and users are told apart now.
    assert [issuer.url for issuer in config.issuers] == ["https://issuer"]
    assert (config.webhook.url, config.webhook.allowed_ttl_s) == (SERVER, 120)


def test_one_issuer_by_flags(files):
    config, _ = configured(
        files, "--oidc-issuer-url", "https://i", "--oidc-client-id", "us", "--oidc-groups-claim", "g"
    )
    (issuer,) = config.issuers
    assert (issuer.audiences, issuer.algorithms) == (("us",), ("RS256",))
    assert (issuer.username({"sub": "ann"}), issuer.groups({"g": ["a"]})) == ("https://i#ann", ("a",))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--service-account-signing-key-file", "@bad"], "holds no private key"),
        (["--service-account-key-file", "@bad"], "holds no public key"),
        (["--service-account-key-file", "nonesuch"], "does not exist"),
        (["--token-auth-file", "@bad"], "needs token, user name and uid"),
        (["--requestheader-client-ca-file", "@bad"], "cannot use the certificates"),
        (["--authentication-config", "@bad"], "yaml"),
        (["--authentication-config", "@tokens"], "AuthenticationConfiguration"),
        (["--oidc-issuer-url", "http://x", "--oidc-client-id", "y"], "no https URL"),
        (["--oidc-issuer-url", "https://x"], "--oidc-client-id"),
        (["--oidc-issuer-url", "https://x", "--oidc-client-id", "y", "--oidc-ca-file", "@bad"], "token issuers"),
        (["--oidc-issuer-url", "https://x", "--authentication-config", "@jwt"], "exclude each other"),
        (["--authentication-token-webhook-config-file", "@bad"], "webhook-config-file"),
    ],
)
def test_flags_that_are_wrong_are_told_in_a_line(files, args, words):
    config, output = configured(files, *args)
    assert config is None
    assert words in output
    assert "Traceback" not in output
