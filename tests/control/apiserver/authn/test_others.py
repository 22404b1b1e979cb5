"""Impersonation, static tokens, bootstrap tokens, front proxies: who each of them believes."""

import base64
from dataclasses import replace

import pytest
from cryptography import x509

from minik8s.api.errors import StatusError
from minik8s.control.apiserver.authn import tokenfile
from minik8s.control.apiserver.authn.assembly import AuthenticationConfig
from minik8s.control.apiserver.authn.authenticator import Authenticator
from minik8s.control.apiserver.authn.bootstraptokens import BootstrapTokens
from minik8s.control.apiserver.authn.certificates import CertificateReader
from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.authn.frontproxy import FrontProxy, FrontProxyConfig
from minik8s.control.apiserver.authn.impersonation import Impersonator
from minik8s.control.apiserver.authn.readers import Refused
from minik8s.control.apiserver.authn.users import ANONYMOUS, User
from minik8s.control.apiserver.authz.attributes import NO_OPINION, Decision, Verdict
from minik8s.control.apiserver.core import CoreConfig
from minik8s.kit.clock import SystemClock
from minik8s.kit.run import StartError
from minik8s.kit.tls import Authority

from ..harness import local_core, scenario
from .tokens import bearing, make

CALLER = User("ann", ("devs", "system:authenticated"), "u1")


class Asked:
    """An authorizer that allows all but what it is told to refuse, and remembers the questions."""

    def __init__(self, *refused):
        self.refused, self.questions = refused, []

    async def authorize(self, attributes):
        question = (attributes.group, attributes.full_resource, attributes.namespace, attributes.name)
        assert (attributes.user, attributes.verb) == (CALLER, "impersonate")
        self.questions.append(question)
        return NO_OPINION if question[1] in self.refused else Verdict(Decision.ALLOW)


def headers(*pairs):
    return Credentials(headers=[(f"impersonate-{name}", value) for name, value in pairs])


async def act_as(*pairs, authorizer=None):
    return await Impersonator(authorizer or Asked()).apply(CALLER, headers(*pairs))


@scenario
async def test_without_headers_one_is_oneself():
    assert await act_as() is CALLER


@scenario
async def test_one_acts_as_another_who_is_authenticated_and_audit_knows_who_did():
    asked = Asked()
    user = await act_as(("user", "bob"), ("group", "a"), ("group", "b"), ("uid", "7"), authorizer=asked)
    assert user == User("bob", ("a", "b", "system:authenticated"), "7")
    assert user.impersonator is CALLER
    assert asked.questions == [
        ("", "users", "", "bob"),
        ("", "groups", "", "a"),
        ("", "groups", "", "b"),
        ("authentication.k8s.io", "uids", "", "7"),
    ]


@scenario
async def test_extras_are_asked_about_one_by_one_and_their_names_are_unescaped():
    asked = Asked()
    pairs = [("user", "bob"), ("extra-scopes", "view"), ("extra-scopes", "edit"), ("extra-acme.com%2fproject", "x")]
    user = await act_as(*pairs, authorizer=asked)
    assert user.extra == {"scopes": ("view", "edit"), "acme.com/project": ("x",)}
    assert asked.questions[1:] == [
        ("authentication.k8s.io", "userextras/scopes", "", "view"),
        ("authentication.k8s.io", "userextras/scopes", "", "edit"),
        ("authentication.k8s.io", "userextras/acme.com/project", "", "x"),
    ]


@scenario
async def test_a_service_account_is_one_and_has_its_groups():
    asked = Asked()
    user = await act_as(("user", "system:serviceaccount:ns:robot"), authorizer=asked)
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert asked.questions == [("", "serviceaccounts", "ns", "robot")]


@scenario
async def test_one_may_be_nobody():
    assert await act_as(("user", "system:anonymous")) == ANONYMOUS


@pytest.mark.parametrize(
    ("what", "pairs"),
    [
        ("users", [("user", "bob")]),
        ("groups", [("user", "bob"), ("group", "system:masters")]),
        ("uids", [("user", "bob"), ("uid", "7")]),
        ("userextras/x", [("user", "bob"), ("extra-x", "y")]),
        ("serviceaccounts", [("user", "system:serviceaccount:ns:robot")]),
    ],
)
def test_each_part_must_be_allowed(what, pairs):
    @scenario
    async def check():
        with pytest.raises(StatusError) as caught:
            await act_as(*pairs, authorizer=Asked(what))
        assert caught.value.code == 403
        assert f'User "ann" cannot impersonate resource "{what}"' in caught.value.message

    check()


@pytest.mark.parametrize("pair", [("group", "system:masters"), ("uid", "7"), ("extra-x", "y")])
def test_a_part_without_a_user_is_no_request(pair):
    @scenario
    async def check():
        with pytest.raises(StatusError) as caught:
            await act_as(pair)
        assert caught.value.code == 500

    check()


@scenario
async def test_a_token_file_names_users(tmp_path):
    file = tmp_path / "tokens.csv"
    file.write_text('secret1,bob,u1,"devs,ops"\nsecret2,eve,u2\n\nsecret1,mallory,u3\n,nobody,u4\n')
    known = tokenfile.load(file)
    assert (await known.read("secret2", ["a"])).user == User("eve", (), "u2")
    assert (await known.read("secret1", ["a"])).user == User("mallory", (), "u3")  # As upstream: the last one counts.
    assert await known.read("", ["a"]) is None
    assert await known.read("secret", ["a"]) is None
    assert await known.read("\udcff", ["a"]) is None


@pytest.mark.parametrize("text", ["secret,bob\n", b"\xff\xfe,a,b"])
def test_a_token_file_that_cannot_be_read_says_so(tmp_path, text):
    file = tmp_path / "tokens.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StartError):
        tokenfile.load(file)


BOOTSTRAP = {
    "token-id": "abcdef",
    "token-secret": "0123456789abcdef",
    "usage-bootstrap-authentication": "true",
    "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
    "expiration": "2999-01-01T00:00:00Z",
}


class Secrets:
    """Holds one bootstrap token."""

    def __init__(self, kind="bootstrap.kubernetes.io/token", meta=None, **changes):
        data = {name: value for name, value in (BOOTSTRAP | changes).items() if value is not None}
        encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
        self.secret = {"metadata": {"name": "x"} | (meta or {}), "type": kind, "data": encoded}

    async def cached(self, plural, namespace, name):
        found = (plural, namespace, name) == ("secrets", "kube-system", "bootstrap-token-abcdef")
        return self.secret if found else None


@scenario
async def test_a_bootstrap_token_is_a_bootstrapper():
    verified = await BootstrapTokens(Secrets(), SystemClock()).read("abcdef.0123456789abcdef", ["a"])
    groups = ("system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token")
    assert verified.user == User("system:bootstrap:abcdef", groups)


@pytest.mark.parametrize("token", ["abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef\n", "a.b.c", ""])
def test_other_tokens_are_not_for_bootstrapping(token):
    @scenario
    async def check():
        assert await BootstrapTokens(Secrets(), SystemClock()).read(token, ["a"]) is None

    check()


REFUSED = {
    "another secret": ("abcdef.0000000000000000", Secrets()),
    "another id": ("abcdee.0123456789abcdef", Secrets()),
    "expired": ("abcdef.0123456789abcdef", Secrets(expiration="2020-01-01T00:00:00Z")),
    "an expiration nobody can read": ("abcdef.0123456789abcdef", Secrets(expiration="soon")),
    "another use": ("abcdef.0123456789abcdef", Secrets(**{"usage-bootstrap-authentication": "false"})),
    "no use": ("abcdef.0123456789abcdef", Secrets(**{"usage-bootstrap-authentication": None})),
    "a group it may not name": ("abcdef.0123456789abcdef", Secrets(**{"auth-extra-groups": "system:masters"})),
    "a secret of another type": ("abcdef.0123456789abcdef", Secrets("Opaque")),
    "a secret that is going": (
        "abcdef.0123456789abcdef",
        Secrets(meta={"deletionTimestamp": "2020-01-01T00:00:00Z"}),
    ),
    "without its secret part": ("abcdef.0123456789abcdef", Secrets(**{"token-secret": None})),
    "with the id of another": ("abcdef.0123456789abcdef", Secrets(**{"token-id": "abcdee"})),
}


@pytest.mark.parametrize(("token", "secrets"), REFUSED.values(), ids=REFUSED.keys())
def test_bootstrap_tokens_that_are_refused(token, secrets):
    @scenario
    async def check():
        with pytest.raises(Refused):
            await BootstrapTokens(secrets, SystemClock()).read(token, ["a"])

    check()


@scenario
async def test_bootstrap_tokens_work_where_they_are_enabled():
    for is_enabled in (True, False):
        given = CoreConfig(authentication=AuthenticationConfig(are_bootstrap_tokens_enabled=is_enabled))
        async with local_core(config=given) as core:
            secret = Secrets().secret
            await make(
                core.api,
                "secrets",
                "bootstrap-token-abcdef",
                "kube-system",
                **{**secret, "metadata": {"name": "bootstrap-token-abcdef"}},
            )
            try:
                user = await core.authenticator.authenticate(bearing("abcdef.0123456789abcdef"))
                assert is_enabled and user.name == "system:bootstrap:abcdef"
            except StatusError as error:
                assert not is_enabled and error.code == 401


@pytest.fixture(scope="module")
def proxy_world(tmp_path_factory):
    """A front proxy's certificate, one of the same authority with another name, a user's, and the two authorities."""
    clients = Authority(tmp_path_factory.mktemp("clients"), "ca")
    proxies = Authority(tmp_path_factory.mktemp("proxies"), "front-proxy-ca")
    certificates = {
        "proxy": proxies.issue("proxy", user="front-proxy-client"),
        "other": proxies.issue("other", user="other"),
        "user": clients.issue("user", user="front-proxy-client", groups=["devs"]),
    }
    read = {name: identity.cert_file.read_bytes() for name, identity in certificates.items()}
    of = {
        name: (x509.load_pem_x509_certificate(authority.cert_file.read_bytes()),)
        for name, authority in {"clients": clients, "proxies": proxies}.items()
    }
    clock = SystemClock()
    authenticator = Authenticator(
        clock,
        front_proxy=FrontProxy(FrontProxyConfig(of["proxies"], ("front-proxy-client",)), clock),
        certificates=CertificateReader(clock, of["clients"]),
    )
    return authenticator, read


REMOTE = [
    ("x-remote-user", "bob"),
    ("x-remote-group", "a"),
    ("x-remote-group", "b"),
    ("x-remote-uid", "7"),
    ("x-remote-extra-acme.com%2fproject", "x"),
]


@scenario
async def test_a_front_proxy_says_who_the_user_is(proxy_world):
    authenticator, certificates = proxy_world
    user = await authenticator.authenticate(Credentials(certificates["proxy"], REMOTE))
    assert user == User("bob", ("a", "b", "system:authenticated"), "7", {"acme.com/project": ("x",)})


@scenario
async def test_nobody_else_says_who_the_user_is(proxy_world):
    authenticator, certificates = proxy_world
    user = await authenticator.authenticate(Credentials(certificates["user"], REMOTE))
    assert (user.name, user.groups) == ("front-proxy-client", ("devs", "system:authenticated"))
    assert await authenticator.authenticate(Credentials(b"", REMOTE)) == ANONYMOUS
    with pytest.raises(StatusError) as caught:  # A name that is not allowed.
        await authenticator.authenticate(Credentials(certificates["other"], REMOTE))
    assert caught.value.code == 401


@scenario
async def test_a_front_proxys_certificate_makes_it_no_user_itself(proxy_world):
    authenticator, certificates = proxy_world
    assert await authenticator.authenticate(Credentials(certificates["proxy"])) == ANONYMOUS


def test_users_are_equal_whoever_acts_as_them():
    assert replace(CALLER, impersonator=ANONYMOUS) == CALLER
    assert CALLER.info() == {"username": "ann", "uid": "u1", "groups": ["devs", "system:authenticated"]}
