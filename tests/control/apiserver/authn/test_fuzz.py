"""Whatever a request brings, it is from somebody or refused with 401; no credential is an error of the server."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.api.errors import StatusError
from minik8s.control.apiserver.authn.assembly import AuthenticationConfig, build
from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.authn.users import ANONYMOUS
from minik8s.control.apiserver.authz.chain import AlwaysDeny
from minik8s.kit.clock import SystemClock

from .tokens import ISSUER, accounts, bearing, signing_key


class Everything:
    """A cluster in which each object exists, with a uid of `u`."""

    async def get(self, plural, namespace, name):
        return {"metadata": {"name": name, "namespace": namespace, "uid": "u"}, "type": "Opaque"}

    cached = get


AUTHENTICATOR = build(
    AuthenticationConfig(accounts=accounts(), are_bootstrap_tokens_enabled=True),
    Everything(),
    AlwaysDeny(),
    clock=SystemClock(),
    rng=random.Random(1),
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)
GOOD = {
    "iss": ISSUER,
    "aud": [ISSUER],
    "exp": 4_000_000_000,
    "sub": "system:serviceaccount:default:robot",
    "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "robot", "uid": "u"}},
}
WEBSOCKET = "base64url.bearer.authorization.k8s.io."
LEGACY = {
    "iss": "kubernetes/serviceaccount",
    "kubernetes.io/serviceaccount/namespace": "default",
    "kubernetes.io/serviceaccount/secret.name": "s",
    "kubernetes.io/serviceaccount/service-account.name": "robot",
    "kubernetes.io/serviceaccount/service-account.uid": "u",
    "sub": "system:serviceaccount:default:robot",
}


def outcome(credentials):
    """The user's name, or 401."""
    try:
        return asyncio.run(AUTHENTICATOR.authenticate(credentials)).name
    except StatusError as error:
        return error.code


def test_the_claims_that_are_changed_are_good():
    assert outcome(bearing(signing_key().sign(GOOD))) == GOOD["sub"]


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(GOOD | LEGACY)), JSON), st.booleans())
def test_any_claims_under_a_good_signature(changes, is_legacy):
    token = signing_key().sign({**(LEGACY if is_legacy else GOOD), **changes})
    found = outcome(bearing(token))
    assert found == 401 or found == GOOD["sub"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["authorization", "sec-websocket-protocol"]),
            st.text()
            | st.text().map("Bearer ".__add__)
            | st.text().map("base64url.bearer.authorization.k8s.io.".__add__),
        )
    )
)
def test_any_headers(headers):
    assert outcome(Credentials(headers=headers)) in (401, ANONYMOUS.name)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["user", "group", "uid", "extra-", "extra-%", "extra-%ff", "extra-a%2fb"]).map(
                "impersonate-".__add__
            ),
            st.text(),
        )
    )
)
def test_any_impersonation_is_refused_to_who_may_not(headers):
    assert outcome(Credentials(headers=headers)) in (403, 500, ANONYMOUS.name)
