"""Tokens that somebody else knows, asked by a TokenReview over HTTPS (--authentication-token-webhook-config-file).

As kube-apiserver: answers are remembered for a while, good and bad ones alike; a webhook that does not answer knows
nobody. What is remembered is a hash, never the token.
"""

import hashlib
import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from minik8s.control.apiserver.asker import Asker, Unavailable, WebhookConfig
from minik8s.control.apiserver.authn.readers import Refused, Verified
from minik8s.control.apiserver.authn.users import User
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger

log = get_logger(__name__)

REMEMBERED_MAX = 4096


class _UserInfo(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class _Status(msgspec.Struct):
    authenticated: bool = False
    user: _UserInfo | None = None
    audiences: list[str] | None = None
    error: str = ""


class _Review(msgspec.Struct):
    status: _Status


class TokenWebhook:
    """Asks, and remembers the answers."""

    def __init__(self, config: WebhookConfig, own: tuple[str, ...], *, clock: Clock, rng: random.Random) -> None:
        """`own`: the audiences of this API, which a webhook that names none is taken to mean."""
        self._config = config
        self._own = own
        self._clock = clock
        self._asker = Asker(config, rng=rng)
        self._remembered: OrderedDict[bytes, tuple[float, _Status]] = OrderedDict()  # until when, what

    async def read(self, token: str, audiences: Sequence[str]) -> Verified | None:
        """The user; None if the webhook does not know the token. Raises Refused."""
        question = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}}
        body = msgspec.json.encode({**question, "spec": {"token": token, "audiences": list(audiences)}})
        status = await self._status(body)
        if status.error:
            raise Refused(f"webhook: {status.error}")
        if not status.authenticated or status.user is None or not status.user.username:
            return None
        meant = self._own if status.audiences is None else status.audiences
        shared = tuple(each for each in audiences if each in meant)
        if not shared:
            raise Refused("webhook: the token is for other audiences")
        extra = {key: tuple(values) for key, values in (status.user.extra or {}).items()}
        user = User(status.user.username, tuple(status.user.groups or ()), status.user.uid, extra)
        return Verified(user, shared)

    async def close(self) -> None:
        """Give back the connections."""
        await self._asker.close()

    async def _status(self, body: bytes) -> _Status:
        key = hashlib.sha256(body).digest()
        if known := self._remembered.get(key):
            if known[0] > self._clock.monotonic_s():
                return known[1]
            del self._remembered[key]
        try:
            status = _status(await self._asker.ask(body))
        except Unavailable as error:
            log.warning("the authentication webhook does not answer", url=self._config.url, error=str(error))
            raise Refused("webhook: it does not answer") from None
        ttl_s = self._config.allowed_ttl_s if status.authenticated else self._config.denied_ttl_s
        self._remembered[key] = (self._clock.monotonic_s() + ttl_s, status)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return status


def _status(answer: Any) -> _Status:
    try:
        return msgspec.convert(answer, _Review).status
    except msgspec.ValidationError as error:
        raise Refused(f"webhook: the answer is no TokenReview: {error}") from None
