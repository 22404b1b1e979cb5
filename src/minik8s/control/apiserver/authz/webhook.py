"""Mode Webhook: somebody else decides, asked by a SubjectAccessReview over HTTPS.

As kube-apiserver: answers are remembered (5 minutes for yes, 30 seconds for others). A webhook that does not answer in
the end (`asker`) has no opinion: then only another mode can allow the request.
"""

import random
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import msgspec

from minik8s.control.apiserver.asker import Asker, Unavailable, WebhookConfig
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import Attributes, Decision, Verdict
from minik8s.control.apiserver.authz.rules import Rule
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger

log = get_logger(__name__)

REMEMBERED_MAX = 8192
_REMEMBERED_BYTES_MAX = 10_000  # of one question

_encode = msgspec.json.Encoder().encode


class WebhookAuthorizer:
    """Asks, and remembers the answers. Opens nothing before the first question."""

    def __init__(self, config: WebhookConfig, *, clock: Clock, rng: random.Random) -> None:
        self._config = config
        self._clock = clock
        self._asker = Asker(config, rng=rng)
        self._remembered: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()  # until when, what

    async def authorize(self, attributes: Attributes) -> Verdict:
        """What the webhook says."""
        question = _encode(review(attributes))
        if known := self._remembered.get(question):
            if known[0] > self._clock.monotonic_s():
                return known[1]
            del self._remembered[question]
        try:
            verdict = _verdict(await self._asker.ask(question))
        except Unavailable as error:
            log.warning("the authorization webhook does not answer", url=self._config.url, error=str(error))
            return Verdict(Decision.NO_OPINION, error=str(error))
        self._remember(question, verdict)
        return verdict

    async def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str], bool]:
        """None; it answers questions and lists nothing."""
        return [], ["webhook authorizer does not support user rule resolution"], False

    async def close(self) -> None:
        """Give back the connections."""
        await self._asker.close()

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
