"""Who a request is from, by the credentials it brings."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from minik8s.api.errors import StatusError
from minik8s.control.apiserver.authn.authenticator import Authenticator
from minik8s.control.apiserver.authn.certificates import CertificateReader
from minik8s.control.apiserver.authn.credentials import Credentials, bearer_token
from minik8s.control.apiserver.authn.readers import Refused, Verified
from minik8s.control.apiserver.authn.users import ANONYMOUS, CREDENTIAL_ID, User
from minik8s.kit.clock import SystemClock
from minik8s.kit.tls import Authority

from ..harness import scenario


class Known:
    """Knows the token `good`, refuses `bad`, and has never heard of others."""

    async def read(self, token, audiences):
        if token == "bad":
            raise Refused("it is bad")
        return Verified(User("bob", ("g",))) if token == "good" else None


class Later:
    """A clock ten years on."""

    def now_s(self):
        return SystemClock().now_s() + 10 * 365 * 86400

    def monotonic_s(self):
        return self.now_s()


def authenticator(**parts):
    clock = SystemClock()
    return Authenticator(clock, **({"tokens": (Known(),), "certificates": CertificateReader(clock)} | parts))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("ca"))
    return authority.issue("me", user="me", groups=["system:masters", "b"]).cert_file.read_bytes()


def bearing(token):
    return Credentials(headers=[("authorization", f"Bearer {token}")])


@scenario
async def test_a_certificate_names_the_user_and_its_groups(certificate):
    user = await authenticator().authenticate(Credentials(certificate))
    assert (user.name, user.groups) == ("me", ("system:masters", "b", "system:authenticated"))
    assert user.extra[CREDENTIAL_ID][0].startswith("X509SHA256=")


@scenario
async def test_a_certificate_counts_before_a_token(certificate):
    credentials = Credentials(certificate, [("authorization", "Bearer bad")])
    assert (await authenticator().authenticate(credentials)).name == "me"


@scenario
async def test_nothing_is_anonymous_unless_that_is_off():
    assert await authenticator().authenticate(Credentials()) == ANONYMOUS
    with pytest.raises(StatusError) as caught:
        await authenticator(is_anonymous_allowed=False).authenticate(Credentials())
    assert caught.value.code == 401


@scenario
async def test_a_good_token_is_its_user():
    assert await authenticator().authenticate(bearing("good")) == User("bob", ("g", "system:authenticated"))


@pytest.mark.parametrize(
    "value", ["Bearer bad", "Bearer unheard-of", "Bearer", "Bearer ", "Basic Ym9iOnB3", "x", "Bearer " + "a" * 100_000]
)
def test_bad_credentials_are_never_just_anonymous(value):
    @scenario
    async def check():
        with pytest.raises(StatusError) as caught:
            await authenticator().authenticate(Credentials(headers=[("authorization", value)]))
        assert (caught.value.code, caught.value.message) == (401, "Unauthorized")

    check()


@scenario
async def test_a_certificate_that_has_expired_is_refused_but_a_good_token_beside_it_counts(certificate):
    reader = CertificateReader(Later())
    with pytest.raises(StatusError) as caught:
        await authenticator(certificates=reader).authenticate(Credentials(certificate))
    assert caught.value.code == 401
    both = replace(bearing("good"), certificate=certificate)
    assert (await authenticator(certificates=reader).authenticate(both)).name == "bob"


@scenario
async def test_a_certificate_that_cannot_be_read_is_refused():
    for encoded in (b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(StatusError) as caught:
            await authenticator().authenticate(Credentials(encoded))
        assert caught.value.code == 401


@scenario
async def test_a_certificate_of_another_authority_that_tls_trusts_names_nobody(certificate, tmp_path: Path):
    other = x509.load_pem_x509_certificate(Authority(tmp_path).cert_file.read_bytes())
    reader = CertificateReader(SystemClock(), (other,))
    assert await authenticator(certificates=reader).authenticate(Credentials(certificate)) == ANONYMOUS


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([], None),
        ([("authorization", "bearer  t ")], "t"),
        ([("sec-websocket-protocol", "v5.channel.k8s.io")], None),
        ([("sec-websocket-protocol", "a, base64url.bearer.authorization.k8s.io.dA")], "t"),
        ([("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.!!")], ""),
        ([("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io._w")], ""),
    ],
)
def test_where_a_token_stands(headers, token):
    assert bearer_token(Credentials(headers=headers)) == token


def test_a_websocket_token_may_hold_any_character():
    text = base64.urlsafe_b64encode(b"a.b~c>?").decode().rstrip("=")
    header = ("sec-websocket-protocol", f"base64url.bearer.authorization.k8s.io.{text}")
    assert bearer_token(Credentials(headers=[header])) == "a.b~c>?"
