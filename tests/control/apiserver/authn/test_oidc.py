"""Tokens of an OpenID issuer: a true little one, on loopback, over TLS."""

import asyncio
import random
import ssl
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from aiohttp import web

from minik8s.control.apiserver.authn import jwtconfig
from minik8s.control.apiserver.authn.assembly import AuthenticationConfig, build
from minik8s.control.apiserver.authn.oidc import JwtReader
from minik8s.control.apiserver.authn.readers import Refused
from minik8s.control.apiserver.authz.chain import AlwaysDeny
from minik8s.kit.clock import SystemClock
from minik8s.kit.jws import SigningKey
from minik8s.kit.tls import Authority

from ..harness import scenario
from .tokens import bearing, signing_key


class StoppedClock(SystemClock):
    """Moved by the test alone."""

    passed_s = 0.0

    def monotonic_s(self):
        return self.passed_s


@dataclass
class LittleIssuer:
    """Answers discovery and keys; `break_with` says what instead of them."""

    keys: list[SigningKey]
    ca_pem: str
    url: str = ""
    requests: int = 0
    break_with: str = ""
    clock: StoppedClock = field(default_factory=StoppedClock)

    async def answer(self, request):
        self.requests += 1
        match self.break_with:
            case "status":
                return web.Response(status=500)
            case "redirect":
                raise web.HTTPFound("/elsewhere")
            case "size":
                return web.Response(body=b" " * 2_000_000)
            case "garbage":
                return web.Response(body=b"[" * 100_000)
            case "hang":
                await asyncio.sleep(60)
        if request.path.endswith("openid-configuration"):
            url = "https://elsewhere" if self.break_with == "issuer" else self.url
            scheme = "http" if self.break_with == "plain" else "https"
            return web.json_response({"issuer": url, "jwks_uri": self.url.replace("https", scheme) + "/keys"})
        keys = [] if self.break_with == "keys" else [key.public.jwk() for key in self.keys]
        return web.json_response({"keys": [{"kty": "oct", "k": "AAAA"}, *keys]})

    def token(self, key=None, **changes):
        now = int(SystemClock().now_s())
        claims = {"iss": self.url, "aud": "us", "sub": "ann", "exp": now + 600, "iat": now, "jti": "j1"} | changes
        return (key or self.keys[0]).sign({name: value for name, value in claims.items() if value is not None})

    def config(self, **flags):
        given = {
            "issuer_url": self.url,
            "client_id": "us",
            "username_claim": "sub",
            "username_prefix": "",
            "groups_claim": "groups",
            "groups_prefix": "oidc:",
            "required_claims": [],
            "signing_algorithms": ("ES256", "RS256"),
            "ca_pem": self.ca_pem,
        }
        return jwtconfig.of_flags(**(given | flags))

    def reader(self, config=None):
        return JwtReader(config or self.config(), clock=self.clock)

    async def user(self, token, reader=None):
        return (await (reader or self.reader()).read(token, ["api"])).user


def at_issuer(test):
    """An async test beside a little issuer."""

    def run(tmp_path):
        @scenario
        async def main():
            authority = Authority(tmp_path)
            identity = authority.issue("issuer", user="issuer", hosts=["127.0.0.1"])
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(identity.cert_file, identity.key_file)
            issuer = LittleIssuer([signing_key()], authority.cert_file.read_text())
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", issuer.answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
                issuer.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
                await test(issuer)
            finally:
                await runner.cleanup()

        main()

    run.__name__ = test.__name__
    return run


@at_issuer
async def test_a_token_names_a_user_behind_its_issuer_and_groups_behind_their_prefix(issuer):
    user = await issuer.user(issuer.token(groups=["a", "b"]))
    assert (user.name, user.groups, user.uid) == (f"{issuer.url}#ann", ("oidc:a", "oidc:b"), "")
    assert user.extra == {"authentication.kubernetes.io/credential-id": ("JTI=j1",)}
    assert (await issuer.user(issuer.token(groups="only"))).groups == ("oidc:only",)
    assert (await issuer.user(issuer.token(aud=["x", "us"]))).groups == ()


@at_issuer
async def test_it_opens_this_api_and_no_other(issuer):
    config = AuthenticationConfig(issuers=(issuer.config(),))
    authenticator = build(config, None, AlwaysDeny(), clock=issuer.clock, rng=random.Random(1))
    assert (await authenticator.authenticate(bearing(issuer.token()))).groups == ("system:authenticated",)
    with pytest.raises(Refused):
        await authenticator.review(issuer.token(), ["another"])


BAD = {
    "expired": {"exp": 1_000_000_000},
    "never expires": {"exp": None},
    "not yet": {"nbf": 4_000_000_000},
    "for another": {"aud": "them"},
    "for nobody": {"aud": None},
    "nobody's": {"sub": None},
    "a name that is no text": {"sub": 5},
    "an empty name": {"sub": ""},
    "groups that are no text": {"groups": [1]},
    "without what is required": {"hd": "other.org"},
    "with a text for a time": {"exp": "soon"},
}


@at_issuer
async def test_bad_claims_are_refused(issuer):
    reader = issuer.reader(issuer.config(required_claims=["hd=acme.org"]))
    assert await issuer.user(issuer.token(hd="acme.org"), reader)
    for name, changes in BAD.items():
        with pytest.raises(Refused):
            pytest.fail(f"{name}: {await issuer.user(issuer.token(**({'hd': 'acme.org'} | changes)), reader)}")
    assert await reader.read(issuer.token(iss="https://another"), ["api"]) is None


@at_issuer
async def test_other_keys_and_other_algorithms_are_refused(issuer):
    reader = issuer.reader()
    stranger = signing_key("rsa")
    with pytest.raises(Refused):
        await issuer.user(issuer.token(stranger), reader)
    only_rsa = issuer.reader(issuer.config(signing_algorithms=("RS256",)))
    with pytest.raises(Refused, match="algorithm"):
        await issuer.user(issuer.token(), only_rsa)


@at_issuer
async def test_an_email_counts_unless_it_is_not_verified(issuer):
    reader = issuer.reader(issuer.config(username_claim="email"))
    assert (await issuer.user(issuer.token(email="a@b.c"), reader)).name == "a@b.c"
    assert (await issuer.user(issuer.token(email="a@b.c", email_verified=True), reader)).name == "a@b.c"
    for verified in (False, "true", 1):
        with pytest.raises(Refused):
            await issuer.user(issuer.token(email="a@b.c", email_verified=verified), reader)


@at_issuer
async def test_keys_are_fetched_once_and_again_for_a_new_one_but_not_for_every_token_that_names_another(issuer):
    reader, new = issuer.reader(), signing_key("rsa")
    for _ in range(5):
        await issuer.user(issuer.token(), reader)
    assert issuer.requests == 2
    issuer.keys = [new]
    for _ in range(5):
        with pytest.raises(Refused):
            await issuer.user(issuer.token(new), reader)
    assert issuer.requests == 2
    issuer.clock.passed_s += 11
    await issuer.user(issuer.token(new), reader)
    assert issuer.requests == 4
    with pytest.raises(Refused):  # The old key is gone for good.
        await issuer.user(issuer.token(signing_key()), reader)


@at_issuer
async def test_keys_outlive_an_issuer_that_does_not_answer(issuer):
    reader = issuer.reader()
    await issuer.user(issuer.token(), reader)
    issuer.break_with, issuer.clock.passed_s = "status", 2 * 3600.0
    assert await issuer.user(issuer.token(), reader)
    assert issuer.requests == 3


@at_issuer
async def test_an_issuer_that_answers_nonsense_names_nobody(issuer):
    for issuer.break_with in ("status", "redirect", "size", "garbage", "issuer", "plain", "keys"):
        with pytest.raises(Refused, match="cannot be had"):
            await issuer.user(issuer.token())
    issuer.break_with = ""
    with pytest.raises(Refused, match="cannot be had"):  # TLS: an authority that is not known.
        await issuer.user(issuer.token(), issuer.reader(replace(issuer.config(), ca_pem="")))


@pytest.mark.slow
@at_issuer
async def test_an_issuer_that_hangs_is_waited_for_once_and_not_long(issuer):
    issuer.break_with, reader = "hang", issuer.reader()
    begun_s = asyncio.get_running_loop().time()
    waiting = [asyncio.ensure_future(issuer.user(issuer.token(), reader)) for _ in range(10)]
    for found in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(found, Refused)
    assert asyncio.get_running_loop().time() - begun_s < 8
    assert issuer.requests == 1


STRUCTURED = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AuthenticationConfiguration",
    "jwt": [
        {
            "issuer": {"url": "", "audiences": ["us", "them"], "audienceMatchPolicy": "MatchAny"},
            "claimValidationRules": [
                {"claim": "hd", "requiredValue": "acme.org"},
                {"expression": "claims.exp - claims.iat <= 3600", "message": "too long a life"},
            ],
            "claimMappings": {
                "username": {"expression": "'acme:' + claims.sub"},
                "groups": {"expression": "claims.roles.filter(role, role != 'none')"},
                "uid": {"claim": "oid"},
                "extra": [{"key": "acme.org/tenant", "valueExpression": "claims.tenant"}],
            },
            "userValidationRules": [
                {"expression": "!user.username.startsWith('acme:system')", "message": "not for people"},
            ],
        }
    ],
}


@at_issuer
async def test_structured_configuration_maps_claims_by_expressions(issuer):
    document = msgspec.json.decode(msgspec.json.encode(STRUCTURED))
    document["jwt"][0]["issuer"] |= {"url": issuer.url, "certificateAuthority": issuer.ca_pem}
    (config,) = jwtconfig.of_document(document)
    reader = issuer.reader(config)
    claims = {"hd": "acme.org", "roles": ["dev", "none"], "oid": "7", "tenant": "t", "jti": None}
    user = await issuer.user(issuer.token(**claims), reader)
    assert (user.name, user.groups, user.uid) == ("acme:ann", ("dev",), "7")
    assert user.extra == {"acme.org/tenant": ("t",)}
    refused = {
        "too long a life": {"iat": 0},
        "'hd'": {"hd": "x"},
        "not for people": {"sub": "system-x"},
        "roles": {"roles": None},
        "username": {"sub": 5},
    }
    for words, changes in refused.items():
        with pytest.raises(Refused, match=words):
            await issuer.user(issuer.token(**(claims | changes)), reader)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("kind",), "Pod", "AuthenticationConfiguration"),
        (("apiVersion",), "v9", "apiVersion"),
        (("anonymous",), {"enabled": True}, "anonymous"),
        (("jwt", 0, "issuer", "url"), "http://x", "no https URL"),
        (("jwt", 0, "issuer", "audiences"), [], "audiences"),
        (("jwt", 0, "claimMappings", "username"), {"claim": "sub"}, "prefix"),
        (("jwt", 0, "claimMappings", "username"), {"expression": "claims."}, "username.expression"),
        (("jwt", 0, "claimMappings", "username"), None, "username: needed"),
        (("jwt", 0, "userValidationRules", 0, "expression"), "", "userValidationRules"),
    ],
)
def test_configuration_that_is_wrong_says_where(place, value, words):
    document = msgspec.json.decode(msgspec.json.encode(STRUCTURED))
    document["jwt"][0]["issuer"]["url"] = "https://x"
    jwtconfig.of_document(document)
    owner = document
    for step in place[:-1]:
        owner = owner[step]
    owner[place[-1]] = value
    with pytest.raises(ValueError, match=words):
        jwtconfig.of_document(document)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"issuer_url": "http://x"}, "--oidc-issuer-url"),
        ({"client_id": ""}, "--oidc-client-id"),
        ({"required_claims": ["x"]}, "--oidc-required-claim"),
    ],
)
def test_flags_that_are_wrong_say_which(flags, words):
    with pytest.raises(ValueError, match=words):
        LittleIssuer([], "", "https://x").config(**flags)
