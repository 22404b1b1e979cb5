"""Keys, accounts and pods for tests of tokens."""

from functools import cache

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from minik8s.api.request import Request
from minik8s.control.apiserver.authn.accounts import AccountConfig
from minik8s.control.apiserver.authn.assembly import AuthenticationConfig
from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.core import CoreConfig
from minik8s.kit.jws import SigningKey, verification_key

from ..harness import ADMIN

ISSUER = "https://kubernetes.default.svc.cluster.local"


@cache
def signing_key(kind="ec"):
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    return SigningKey(key, verification_key(key.public_key()))


def accounts(**changes):
    key = signing_key()
    return AccountConfig(**({"signing_key": key, "keys": (key.public,)} | changes))


def config(**changes):
    return CoreConfig(authentication=AuthenticationConfig(accounts=accounts(**changes)))


async def make(api, plural, name, namespace="default", **document):
    body = msgspec.json.encode({"metadata": {"name": name}, **document})
    answer = await api.as_user(ADMIN).call(Request("create", "", "v1", plural, namespace, body=body))
    return msgspec.json.decode(answer.body)


async def remove(api, plural, name, namespace="default"):
    await api.as_user(ADMIN).call(
        Request("delete", "", "v1", plural, namespace, name, query={"gracePeriodSeconds": "0"}, body=b"")
    )


async def ask(api, account="robot", user=ADMIN, **spec):
    """The TokenRequest as answered."""
    body = msgspec.json.encode({"spec": spec})
    request = Request("create", "", "v1", "serviceaccounts", "default", account, "token", body=body)
    answer = await api.as_user(user).call(request)
    assert answer.code == 201
    return msgspec.json.decode(answer.body)


async def token(api, account="robot", **spec):
    return (await ask(api, account, **spec))["status"]["token"]


def bearing(text):
    return Credentials(headers=[("authorization", f"Bearer {text}")])
