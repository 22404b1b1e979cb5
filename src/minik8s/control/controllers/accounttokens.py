"""Secrets of type kubernetes.io/service-account-token: filled with a token, the authority and the namespace.

The older form of ServiceAccounts' tokens: they never expire, and hold as long as their Secret. A Secret goes with the
ServiceAccount that its annotation names (by uid, if it has one).
"""

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from minik8s.api.core_v1 import SECRETS, SERVICEACCOUNTS, Secret, ServiceAccount
from minik8s.api.meta_v1 import key_of
from minik8s.client.controller import Writes
from minik8s.control.controllers.context import Context, Watch

if TYPE_CHECKING:
    from minik8s.kit.jws import SigningKey

TYPE = "kubernetes.io/service-account-token"
_NAME = "kubernetes.io/service-account.name"
_UID = "kubernetes.io/service-account.uid"
_ISSUER = "kubernetes/serviceaccount"
_CLAIM = "kubernetes.io/serviceaccount/"
_BY_ACCOUNT = "account"


class AccountTokensController:
    """Keys are Secrets of that type."""

    name = "serviceaccount-token"

    def __init__(self, context: Context) -> None:
        self._key = context.config.account_key
        self._root_ca = context.config.root_ca
        self._secrets = context.informer(SECRETS)
        self._accounts = context.informer(SERVICEACCOUNTS)
        self._secrets.add_index(_BY_ACCOUNT, _accounts_of)

    def watches(self) -> Iterable[Watch]:
        if self._key is None:
            return ()
        return (Watch(SECRETS, _key), Watch(SERVICEACCOUNTS, self._keys_of_account))

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        secret = self._secrets.get(key)
        if secret is None or secret.metadata.deletionTimestamp is not None or self._key is None:
            return None
        namespace, name = secret.metadata.namespace or "", secret.metadata.name or ""
        annotations = secret.metadata.annotations or {}
        account = self._accounts.get(f"{namespace}/{annotations.get(_NAME)}")
        uid = account.metadata.uid if account else ""
        if account is None or annotations.get(_UID, uid) != uid:
            await writes.delete(SECRETS, name, namespace=namespace, uid=secret.metadata.uid or "")
            return None
        wanted = {"ca.crt": self._root_ca, "namespace": namespace}
        data = {each: _encoded(value) for each, value in wanted.items() if value}
        # A token that is there stays: it may be in use.
        if "token" not in (secret.data or {}):
            data["token"] = _encoded(self._token(self._key, secret, account))
        data = {each: value for each, value in data.items() if (secret.data or {}).get(each) != value}
        if data or _UID not in annotations:
            # Conditional: a Secret of the same name that was made anew is not filled with a token of the old one.
            meta: dict[str, Any] = {"uid": secret.metadata.uid, "resourceVersion": secret.metadata.resourceVersion}
            patch = {"metadata": {**meta, "annotations": {_UID: uid}}, "data": data}
            await writes.patch(SECRETS, name, patch, namespace=namespace)
        return None

    def _token(self, key: "SigningKey", secret: Secret, account: ServiceAccount) -> str:
        assert secret.metadata is not None and account.metadata is not None
        namespace, name = account.metadata.namespace, account.metadata.name
        return key.sign(
            {
                "iss": _ISSUER,
                f"{_CLAIM}namespace": namespace,
                f"{_CLAIM}secret.name": secret.metadata.name,
                f"{_CLAIM}service-account.name": name,
                f"{_CLAIM}service-account.uid": account.metadata.uid,
                "sub": f"system:serviceaccount:{namespace}:{name}",
            }
        )

    def _keys_of_account(self, account: ServiceAccount) -> list[str]:
        return [key_of(secret) for secret in self._secrets.by_index(_BY_ACCOUNT, key_of(account))]


def _key(secret: Secret) -> list[str]:
    return [key_of(secret)] if secret.type == TYPE else []


def _accounts_of(secret: Secret) -> list[str]:
    assert secret.metadata is not None
    name = (secret.metadata.annotations or {}).get(_NAME)
    return [f"{secret.metadata.namespace}/{name}"] if secret.type == TYPE and name else []


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
