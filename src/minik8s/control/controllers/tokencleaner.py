"""Bootstrap tokens that have expired are deleted."""

import base64
import binascii
from collections.abc import Iterable
from datetime import UTC, datetime

from minik8s.api.core_v1 import SECRETS, Secret
from minik8s.api.meta_v1 import key_of
from minik8s.client.controller import Writes
from minik8s.control.controllers.context import Context, Watch

_TYPE = "bootstrap.kubernetes.io/token"
_NAMESPACE = "kube-system"
_LOOK_AGAIN_S_MAX = 3600.0  # The machine's clock may be set meanwhile.


class TokenCleaner:
    """Keys are Secrets of that type in kube-system."""

    name = "tokencleaner"

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._secrets = context.informer(SECRETS)

    def watches(self) -> Iterable[Watch]:
        return (Watch(SECRETS, _key),)

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        secret = self._secrets.get(key)
        if secret is None:
            return None
        expires_s = _expiration_s(secret)
        if expires_s is None:
            return None
        left_s = expires_s - self._clock.now_s()
        if left_s > 0:
            return min(left_s, _LOOK_AGAIN_S_MAX)
        await writes.delete(SECRETS, secret.metadata.name or "", namespace=_NAMESPACE, uid=secret.metadata.uid or "")
        return None


def _expiration_s(secret: Secret) -> float | None:
    """When it expires; never, if it does not say so readably (such tokens are refused, but for people to mend)."""
    try:
        text = base64.b64decode((secret.data or {}).get("expiration", ""), validate=True).decode()
        time = datetime.fromisoformat(text)
    except (binascii.Error, ValueError):
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _key(secret: Secret) -> list[str]:
    assert secret.metadata is not None
    return [key_of(secret)] if secret.type == _TYPE and secret.metadata.namespace == _NAMESPACE else []
