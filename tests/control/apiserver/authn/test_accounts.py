"""Tokens of ServiceAccounts: issued on request, and good only while everything they name is there."""

import base64
import hashlib
import hmac
import json

import msgspec
import pytest

from minik8s.api.errors import StatusError
from minik8s.control.apiserver.authn import openid
from minik8s.control.apiserver.authn.accounts import LEGACY_ISSUER
from minik8s.control.apiserver.authn.readers import Refused
from minik8s.kit import jws
from minik8s.kit.clock import SystemClock

from ..harness import local_core, scenario
from .tokens import ISSUER, accounts, ask, bearing, config, make, remove, signing_key, token

POD = {"containers": [{"name": "c", "image": "busybox"}], "serviceAccountName": "robot"}


class MovableClock(SystemClock):
    """Real time, and how much later it is said to be."""

    later_s = 0.0

    def now_s(self):
        return super().now_s() + self.later_s


async def refused(core, text):
    with pytest.raises(StatusError) as caught:
        await core.authenticator.authenticate(bearing(text))
    assert (caught.value.code, caught.value.message) == (401, "Unauthorized")
    return True


@scenario
async def test_a_token_is_its_service_account():
    async with local_core(config=config()) as core:
        made = await make(core.api, "serviceaccounts", "robot")
        answer = await ask(core.api)
        user = await core.authenticator.authenticate(bearing(answer["status"]["token"]))
    claims = jws.parse(answer["status"]["token"]).claims
    assert user.name == "system:serviceaccount:default:robot"
    assert user.uid == made["metadata"]["uid"]
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")
    assert user.extra == {"authentication.kubernetes.io/credential-id": (f"JTI={claims['jti']}",)}
    assert claims["exp"] - claims["iat"] == answer["spec"]["expirationSeconds"] == 3600
    assert claims["aud"] == answer["spec"]["audiences"] == [ISSUER]
    assert (claims["iss"], claims["sub"]) == (ISSUER, "system:serviceaccount:default:robot")


@scenario
async def test_a_token_of_a_pod_names_the_pod_and_its_node():
    async with local_core(config=config()) as core:
        await make(core.api, "serviceaccounts", "robot")
        node = await make(core.api, "nodes", "n1", "")
        pod = await make(core.api, "pods", "p", spec=POD | {"nodeName": "n1"})
        text = await token(core.api, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
        extra = (await core.authenticator.authenticate(bearing(text))).extra
        assert extra["authentication.kubernetes.io/pod-name"] == ("p",)
        assert extra["authentication.kubernetes.io/pod-uid"] == (pod["metadata"]["uid"],)
        assert extra["authentication.kubernetes.io/node-name"] == ("n1",)
        assert extra["authentication.kubernetes.io/node-uid"] == (node["metadata"]["uid"],)
        await remove(core.api, "nodes", "n1", "")  # The pod may outlive its node.
        await core.authenticator.authenticate(bearing(text))
        await remove(core.api, "pods", "p")
        await core.cache.reach(await core.registry.current_revision(), 5)
        assert await refused(core, text)
        await make(core.api, "pods", "p", spec=POD)  # Of the same name, but another.
        assert await refused(core, text)


@scenario
async def test_a_token_goes_with_its_service_account_and_does_not_come_back_with_another():
    async with local_core(config=config()) as core:
        await make(core.api, "serviceaccounts", "robot")
        text = await token(core.api)
        await remove(core.api, "serviceaccounts", "robot")
        await core.cache.reach(await core.registry.current_revision(), 5)
        assert await refused(core, text)
        await make(core.api, "serviceaccounts", "robot")
        assert await refused(core, text)


@scenario
async def test_a_token_of_a_secret_goes_with_it():
    async with local_core(config=config()) as core:
        await make(core.api, "serviceaccounts", "robot")
        await make(core.api, "secrets", "s")
        text = await token(core.api, boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "s"})
        await core.authenticator.authenticate(bearing(text))
        await remove(core.api, "secrets", "s")
        await core.cache.reach(await core.registry.current_revision(), 5)
        assert await refused(core, text)


@scenario
async def test_a_token_expires():
    clock = MovableClock()
    async with local_core(config=config(), clock=clock) as core:
        await make(core.api, "serviceaccounts", "robot")
        text = await token(core.api, expirationSeconds=600)
        clock.later_s = 630  # Within the leeway for clocks that differ.
        await core.authenticator.authenticate(bearing(text))
        clock.later_s = 661
        assert await refused(core, text)


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ({"expirationSeconds": 599}, 422, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": (1 << 32) + 1}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"boundObjectRef": {"kind": "Pod", "name": "nobody"}}, 404, 'pods "nobody" not found'),
        ({"boundObjectRef": {"kind": "Deployment", "apiVersion": "apps/v1", "name": "d"}}, 400, "cannot bind token"),
        ({"boundObjectRef": {"kind": "Pod", "name": "other"}}, 400, "different serviceaccount name"),
        ({"boundObjectRef": {"kind": "Secret", "name": "s", "uid": "x"}}, 409, "does not match the UID in record"),
        ({"expirationSeconds": "soon"}, 400, ""),
    ],
)
def test_requests_that_are_refused(spec, code, words):
    @scenario
    async def check():
        async with local_core(config=config()) as core:
            for name in ("robot", "elsewhere"):
                await make(core.api, "serviceaccounts", name)
            await make(core.api, "secrets", "s")
            await make(core.api, "pods", "other", spec=POD | {"serviceAccountName": "elsewhere"})
            with pytest.raises(StatusError) as caught:
                await ask(core.api, **spec)
            assert caught.value.code == code
            assert words in caught.value.message

    check()


@scenario
async def test_no_token_for_an_account_that_is_not_there_nor_without_a_key():
    async with local_core(config=config()) as core:
        with pytest.raises(StatusError) as caught:
            await ask(core.api, "nobody")
        assert caught.value.message == 'serviceaccounts "nobody" not found'
    async with local_core(config=config(signing_key=None, keys=())) as core:
        await make(core.api, "serviceaccounts", "robot")
        with pytest.raises(StatusError, match="--service-account-signing-key-file"):
            await ask(core.api)


@scenario
async def test_a_token_may_live_as_long_as_the_server_allows():
    async with local_core(config=config(expiration_s_max=1200)) as core:
        await make(core.api, "serviceaccounts", "robot")
        assert (await ask(core.api, expirationSeconds=7200))["spec"]["expirationSeconds"] == 1200


@scenario
async def test_a_token_for_others_does_not_open_this_api_but_can_be_reviewed_for_them():
    async with local_core(config=config()) as core:
        await make(core.api, "serviceaccounts", "robot")
        text = await token(core.api, audiences=["vault", "other"])
        assert await refused(core, text)
        verified = await core.authenticator.review(text, ["vault", "x"])
        assert (verified.user.name, verified.audiences) == ("system:serviceaccount:default:robot", ("vault",))
        with pytest.raises(Refused, match="invalid for the target audiences"):
            await core.authenticator.review(text, ["x"])


@scenario
async def test_keys_are_rotated_and_issuers_too():
    old, new = signing_key(), signing_key("rsa")
    both = config(signing_key=new, keys=(new.public, old.public), issuers=("https://new", ISSUER))
    async with local_core(config=both) as core:
        made = await make(core.api, "serviceaccounts", "robot")
        assert (await core.authenticator.authenticate(bearing(await token(core.api)))).name.endswith("robot")
        of_old = old.sign(_claims(made, aud=["https://new"]))
        assert (await core.authenticator.authenticate(bearing(of_old))).name.endswith("robot")
    only_new = config(signing_key=new, keys=(new.public,))
    async with local_core(config=only_new) as core:
        made = await make(core.api, "serviceaccounts", "robot")
        assert await refused(core, old.sign(_claims(made)))


def _claims(account, **changes):
    now, meta = int(SystemClock().now_s()), account["metadata"]
    claims = {
        "aud": [ISSUER],
        "exp": now + 600,
        "iat": now,
        "nbf": now,
        "iss": ISSUER,
        "sub": "system:serviceaccount:default:robot",
        "kubernetes.io": {
            "namespace": "default",
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        },
    }
    return {key: value for key, value in (claims | changes).items() if value is not None}


def _part(value):
    return (
        base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode().rstrip("=")
    )


BAD_CLAIMS = {
    "expired": {"exp": 1_000_000_000},
    "never expires": {"exp": None},
    "not yet": {"nbf": 4_000_000_000},
    "another audience": {"aud": ["x"]},
    "another issuer": {"iss": "https://elsewhere"},
    "no issuer": {"iss": None},
    "another subject": {"sub": "system:serviceaccount:kube-system:robot"},
    "no subject": {"sub": None},
    "no private claims": {"kubernetes.io": None},
    "private claims of a wrong type": {"kubernetes.io": ["x"]},
    "exp of a wrong type": {"exp": "soon"},
    "exp that is not a number": {"exp": True},
    "aud of a wrong type": {"aud": {"x": 1}},
    "another uid": {"kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "robot", "uid": "other"}}},
    "a pod that never was": {
        "kubernetes.io": {
            "namespace": "default",
            "serviceaccount": {"name": "robot"},
            "pod": {"name": "p", "uid": "u"},
        }
    },
}


@scenario
async def test_good_signatures_under_bad_claims_are_refused():
    async with local_core(config=config()) as core:
        made = await make(core.api, "serviceaccounts", "robot")
        for name, changes in BAD_CLAIMS.items():
            assert await refused(core, signing_key().sign(_claims(made, **changes))), name


@scenario
async def test_forged_tokens_are_refused():
    key = signing_key()
    async with local_core(config=config()) as core:
        made = await make(core.api, "serviceaccounts", "robot")
        good = key.sign(_claims(made))
        header, claims, signature = good.split(".")
        await core.authenticator.authenticate(bearing(good))
        pem = json.dumps(key.public.jwk()).encode()
        confused = f"{_part({'alg': 'HS256', 'kid': key.public.id})}.{claims}"
        mac = hmac.new(pem, confused.encode(), hashlib.sha256).digest()
        other = signing_key("rsa").sign(_claims(made))
        forgeries = {
            "no algorithm": f"{_part({'alg': 'none'})}.{claims}.",
            "no algorithm, otherwise spelled": f"{_part({'alg': 'nOnE'})}.{claims}.{signature}",
            "the public key as a secret": f"{confused}.{_part(mac)}",
            "another key": other,
            "another key under the name of ours": f"{header}.{other.split('.')[1]}.{other.split('.')[2]}",
            "other claims": f"{header}.{_part(_claims(made, jti='x'))}.{signature}",
            "no signature": f"{header}.{claims}.",
            "a signature of zeros": f"{header}.{claims}.{_part(bytes(64))}",
            "a longer signature": f"{header}.{claims}.{signature}AAAA",
            "padding": good + "==",
            "four parts": good + ".x",
            "demands": f"{_part({'alg': 'ES256', 'crit': ['exp']})}.{claims}.{signature}",
            "header a list": f"{_part([1])}.{claims}.{signature}",
            "header of a wrong type": f"{_part({'alg': 5, 'kid': {}})}.{claims}.{signature}",
            "nested": f"{_part(b'[' * 60_000)}.{claims}.{signature}",
            "oversized": "a" * 1_000_000,
            "garbage": "\udcff.\x00.é",
            "empty": "..",
        }
        for name, forged in forgeries.items():
            assert await refused(core, forged), name


@scenario
async def test_a_token_of_the_older_form_holds_as_long_as_its_secret():
    key = signing_key()
    async with local_core(config=config()) as core:
        made = await make(core.api, "serviceaccounts", "robot")
        prefix = "kubernetes.io/serviceaccount/"
        text = key.sign(
            {
                "iss": LEGACY_ISSUER,
                f"{prefix}namespace": "default",
                f"{prefix}secret.name": "s",
                f"{prefix}service-account.name": "robot",
                f"{prefix}service-account.uid": made["metadata"]["uid"],
                "sub": "system:serviceaccount:default:robot",
            }
        )
        assert await refused(core, text)
        annotations = {"kubernetes.io/service-account.name": "robot"}
        await make(
            core.api,
            "secrets",
            "s",
            metadata={"name": "s", "annotations": annotations},
            type="kubernetes.io/service-account-token",
            data={"token": base64.b64encode(text.encode()).decode()},
        )
        user = await core.authenticator.authenticate(bearing(text))
        assert (user.name, user.uid) == ("system:serviceaccount:default:robot", made["metadata"]["uid"])
        await remove(core.api, "secrets", "s")
        await core.cache.reach(await core.registry.current_revision(), 5)
        assert await refused(core, text)


def test_others_find_our_keys_where_openid_discovery_says():
    found = openid.documents(accounts(), "https://127.0.0.1:6443")
    configuration = msgspec.json.decode(found["/.well-known/openid-configuration"][0])
    assert configuration == {
        "issuer": ISSUER,
        "jwks_uri": "https://127.0.0.1:6443/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }
    body, content_type = found["/openid/v1/jwks"]
    assert content_type == "application/jwk-set+json"
    (jwk,) = msgspec.json.decode(body)["keys"]
    assert jws.from_jwk(jwk).key.public_numbers() == signing_key().public.key.public_numbers()
    assert "d" not in jwk
    assert openid.documents(accounts(signing_key=None), "") == {}
