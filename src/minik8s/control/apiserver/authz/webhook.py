"""Mode Webhook: somebody else decides, asked by a SubjectAccessReview over HTTPS.

As kube-apiserver: answers are remembered (5 minutes for yes, 30 seconds for others), a webhook that does not answer
is asked again after 0.5, 0.75, … seconds, and in the end has no opinion: then only another mode can allow the request.
"""

import asyncio
import random
import ssl
from asyncio import sleep
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import Attributes, Decision, Verdict
from minik8s.control.apiserver.authz.rules import Rule
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger

log = get_logger(__name__)

REMEMBERED_MAX = 8192
_REMEMBERED_BYTES_MAX = 10_000  # of one question
_ANSWER_BYTES_MAX = 1024 * 1024
_ATTEMPTS = 5
_FACTOR = 1.5

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Whom to ask, and how."""

    url: str
    tls: ssl.SSLContext | None = None  # None: plain HTTP
    token: str = ""
    timeout_s: float = 30.0
    allowed_ttl_s: float = 300.0
    denied_ttl_s: float = 30.0
    first_wait_s: float = 0.5  # before it is asked again; half as long again each time


class _Unavailable(Exception):
    """No answer, though there may be one later."""


class WebhookAuthorizer:
    """Asks, and remembers the answers. Opens nothing before the first question."""

    def __init__(self, config: WebhookConfig, *, clock: Clock, rng: random.Random) -> None:
        self._config = config
        self._clock = clock
        self._rng = rng
        self._session: aiohttp.ClientSession | None = None
        self._remembered: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()  # until when, what

    async def authorize(self, attributes: Attributes) -> Verdict:
        """What the webhook says."""
        question = _encode(review(attributes))
        if known := self._remembered.get(question):
            if known[0] > self._clock.monotonic_s():
                return known[1]
            del self._remembered[question]
        try:
            verdict = _verdict(await self._ask(question))
        except _Unavailable as error:
            log.warning("the authorization webhook does not answer", url=self._config.url, error=str(error))
            return Verdict(Decision.NO_OPINION, error=str(error))
        self._remember(question, verdict)
        return verdict

    async def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str], bool]:
        """None; it answers questions and lists nothing."""
        return [], ["webhook authorizer does not support user rule resolution"], False

    async def close(self) -> None:
        """Give back the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, question: bytes) -> Any:
        wait_s = self._config.first_wait_s
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._post(question)
            except _Unavailable:
                if attempt == _ATTEMPTS:
                    raise
            await sleep(wait_s * (1 + 0.2 * self._rng.random()))
            wait_s *= _FACTOR
        raise AssertionError

    async def _post(self, question: bytes) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._config.token:
            headers["Authorization"] = f"Bearer {self._config.token}"
        tls: ssl.SSLContext | bool = self._config.tls or True
        url = self._config.url
        try:
            async with (
                asyncio.timeout(self._config.timeout_s),
                self._session.post(url, data=question, headers=headers, ssl=tls, allow_redirects=False) as answer,
            ):
                body = await answer.content.read(_ANSWER_BYTES_MAX)
                if not 200 <= answer.status < 300:
                    raise _Unavailable(f'Post "{url}": the webhook answered {answer.status}')
                return msgspec.json.decode(body)
        except TimeoutError:
            raise _Unavailable(f'Post "{url}": context deadline exceeded') from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _Unavailable(f'Post "{url}": {error}') from None

    def _remember(self, question: bytes, verdict: Verdict) -> None:
        if len(question) > _REMEMBERED_BYTES_MAX:
            return
        ttl_s = self._config.allowed_ttl_s if verdict.is_allowed else self._config.denied_ttl_s
        self._remembered[question] = (self._clock.monotonic_s() + ttl_s, verdict)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)


def review(attributes: Attributes) -> dict[str, Any]:
    """The SubjectAccessReview that asks a question."""
    user = attributes.user
    spec: dict[str, Any] = {
        "user": user.name,
        "groups": list(user.groups),
        "uid": user.uid,
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    if attributes.is_resource:
        names = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
        asked: dict[str, Any] = {name: getattr(attributes, name) for name in names}
        if requirements := list(_requirements(attributes.field_selector)):
            asked["fieldSelector"] = {"requirements": requirements}
        spec["resourceAttributes"] = {key: value for key, value in asked.items() if value}
    else:
        spec["nonResourceAttributes"] = {"path": attributes.path, "verb": attributes.verb}
    return {
        "kind": "SubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {key: value for key, value in spec.items() if value},
    }


def _requirements(selector: str) -> Iterator[dict[str, Any]]:
    """A field selector in parts; what is escaped is left out, which asks about more."""
    for part in selector.split(",") if selector and "\\" not in selector else ():
        name, _, value = part.partition("=")
        operator = "NotIn" if name.endswith("!") else "In"
        yield {"key": name.removesuffix("!"), "operator": operator, "values": [value.removeprefix("=")]}


def _verdict(answer: Any) -> Verdict:
    """What a webhook's answer means."""
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, dict):
        return Verdict(Decision.NO_OPINION, error="webhook authorizer: the answer is no SubjectAccessReview")
    allowed, denied = status.get("allowed") is True, status.get("denied") is True
    reason = str(status.get("reason") or "")
    if allowed and denied:
        error = "webhook subject access review returned both allow and deny response"
        return Verdict(Decision.NO_OPINION, error=error)
    if denied:
        return Verdict(Decision.DENY, reason)
    return Verdict(Decision.ALLOW if allowed else Decision.NO_OPINION, reason)
