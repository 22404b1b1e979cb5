"""Bootstrap tokens, `abcdef.0123456789abcdef`: Secrets of kube-system with which new nodes introduce themselves.

Switched on by --enable-bootstrap-token-auth. The controller `tokencleaner` deletes those that have expired.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from minik8s.control.apiserver.authn.accounts import Objects
from minik8s.control.apiserver.authn.readers import Refused, Verified
from minik8s.control.apiserver.authn.users import User
from minik8s.kit.clock import Clock

BOOTSTRAP_TYPE = "bootstrap.kubernetes.io/token"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP = "system:bootstrappers"
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class BootstrapTokens:
    """Reads bootstrap tokens."""

    objects: Objects
    clock: Clock

    async def read(self, token: str, audiences: Sequence[str]) -> Verified | None:
        """The user `system:bootstrap:ID`; None for tokens of another form. Raises Refused, StatusError."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        identifier, secret_part = parts.groups()
        secret = await self.objects.cached("secrets", "kube-system", f"bootstrap-token-{identifier}")
        if secret is None or secret.get("type") != BOOTSTRAP_TYPE or "deletionTimestamp" in secret["metadata"]:
            raise Refused("no such bootstrap token")
        data = {name: _text(value) for name, value in secret.get("data", {}).items()}
        is_same = hmac.compare_digest(data.get("token-secret", "").encode(), secret_part.encode())
        if not is_same or data.get("token-id") != identifier:
            raise Refused("no such bootstrap token")
        if _has_expired(data.get("expiration", ""), self.clock.now_s()):
            raise Refused("the bootstrap token has expired")
        if data.get("usage-bootstrap-authentication") != "true":
            raise Refused("the bootstrap token is not for authentication")
        groups = [group for group in data.get("auth-extra-groups", "").split(",") if group]
        if not all(_EXTRA_GROUP.fullmatch(group) for group in groups):
            raise Refused("the bootstrap token names groups it may not")
        return Verified(User(f"system:bootstrap:{identifier}", (_GROUP, *sorted(set(groups)))), tuple(audiences))


def _has_expired(expiration: str, now_s: float) -> bool:
    """Whether it has; what cannot be read has."""
    if not expiration:
        return False
    try:
        time = datetime.fromisoformat(expiration)
    except ValueError:
        return True
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() <= now_s


def _text(encoded: object) -> str:
    try:
        return base64.b64decode(str(encoded), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
