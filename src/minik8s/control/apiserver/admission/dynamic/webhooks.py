"""Mutating and validating webhooks: who must be asked about a request, asking them, and doing what they say.

As k8s.io/apiserver/pkg/admission/plugin/webhook: mutating ones one after the other in the order of their names, each
seeing what those before it did, with one more round for those that want it; validating ones at once. What cannot be
asked refuses or is passed over, as `failurePolicy` says.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.control.apiserver import patch, schema
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.admission.dynamic import matching, review
from minik8s.control.apiserver.admission.dynamic.configurations import Configurations
from minik8s.control.apiserver.admission.dynamic.expressions import (
    Conditions,
    Scope,
    compile_conditions,
)
from minik8s.control.apiserver.admission.dynamic.metrics import HookCall
from minik8s.control.apiserver.admission.dynamic.requests import OTHER_KINDS, Shown, restore, show
from minik8s.control.apiserver.authz.attributes import Authorizer
from minik8s.control.apiserver.cel import CelError
from minik8s.control.apiserver.cel.environments import CONDITION_NAMES
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.webhook_client import WebhookClient, WebhookFailed
from minik8s.kit import ids
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_encode = msgspec.json.Encoder().encode
Versions = Callable[[Resource], Sequence[Resource]]
"""The versions in which a kind is served."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of a configuration."""

    configuration: str
    config: Document
    conditions: Conditions

    @property
    def name(self) -> str:
        """`policy.example.com`."""
        return str(self.config["name"])

    @property
    def is_forgiven(self) -> bool:
        """Whether the request goes on when the webhook cannot be asked."""
        return self.config.get("failurePolicy") == "Ignore"


def parse(configuration: Document) -> list[Webhook]:
    """The webhooks of a configuration, in their order."""
    name = configuration["metadata"]["name"]
    return [
        Webhook(name, each, compile_conditions(each.get("matchConditions", ()), CONDITION_NAMES))
        for each in configuration.get("webhooks", ())
    ]


@dataclass(frozen=True, slots=True)
class Means:
    """What both kinds of plugin work with."""

    client: WebhookClient
    authorizer: Authorizer
    versions: Versions
    rng: random.Random
    observers: Sequence[Callable[[HookCall], None]] = ()  # told of every call


class _Asking:
    """What mutating and validating webhooks have in common."""

    def __init__(self, hooks: Configurations[list[Webhook]], means: Means) -> None:
        self._hooks = hooks
        self._means = means

    def _all(self, attributes: Attributes) -> list[Webhook]:
        if matching.is_exempt(attributes):
            return []
        return [hook for hooks in self._hooks.all() for hook in hooks]

    async def _meant(self, hook: Webhook, document: Document, attributes: Attributes) -> Shown | None:
        """The request as the webhook wants to see it; None if it does not. Raises StatusError."""
        config = hook.config
        version = matching.find_version(
            config.get("rules", ()),
            attributes,
            self._means.versions(attributes.resource),
            match_policy=config.get("matchPolicy", "Equivalent"),
        )
        if version is None or not await matching.selects(config, document, attributes):
            return None
        shown = await show(version, document, attributes)
        if hook.conditions.programs or hook.conditions.fault:
            try:
                if not await hook.conditions.hold(Scope(shown, attributes, self._means.authorizer)):
                    return None
            except CelError as error:
                if hook.is_forgiven:
                    return None
                raise attributes.refuse(error.message) from None
        if attributes.dry_run and config.get("sideEffects") not in ("None", "NoneOnDryRun"):
            raise errors.bad_request(f'admission webhook "{hook.name}" does not support dry run')
        return shown

    async def _ask(
        self, hook: Webhook, shown: Shown, attributes: Attributes, *, is_mutating: bool
    ) -> review.Answer | None:
        """The answer of a webhook that lets the request pass; None of one whose failure is forgiven.

        Raises StatusError if it refuses, or cannot be asked.
        """
        loop = asyncio.get_running_loop()
        started_s, refusal, failed = loop.time(), None, None
        answer = None
        try:
            answer = await self._call(hook, shown, is_mutating=is_mutating)
        except WebhookFailed as error:
            log.warning("webhook failed", webhook=hook.name, error=str(error), forgiven=hook.is_forgiven)
            failed = error
            if not hook.is_forgiven:
                refusal = errors.internal(f'failed calling webhook "{hook.name}": {error}')
        else:
            for name, value in answer.annotations.items():
                attributes.audit[f"{hook.name}/{name}"] = value
            for warning in answer.warnings:
                attributes.warn(warning)
            if not answer.allowed:
                refusal = review.denial(hook.name, answer.status)
        call = HookCall(
            "admit" if is_mutating else "validating",
            hook.name,
            attributes.operation,
            loop.time() - started_s,
            refusal.code if refusal else 200,
            is_failed=failed is not None,
            is_forgiven=failed is not None and hook.is_forgiven,
        )
        for observe in self._means.observers:
            observe(call)
        if refusal:
            raise refusal from failed
        return answer

    async def _call(self, hook: Webhook, shown: Shown, *, is_mutating: bool) -> review.Answer:
        """Raises WebhookFailed."""
        uid = ids.new_uuid(self._means.rng)
        try:
            version = review.version_of(hook.config.get("admissionReviewVersions", []))
        except review.Unusable as error:
            raise WebhookFailed(str(error)) from None
        body = review.ask(shown.whole(), uid, version)
        timeout_s = float(hook.config.get("timeoutSeconds", 10))
        try:
            answer = await self._means.client.post(hook.config["clientConfig"], body, timeout_s=timeout_s)
        except WebhookFailed as failed:
            raise WebhookFailed(f"failed to call webhook: {failed}") from None
        try:
            return review.read(answer, uid, version, is_mutating=is_mutating)
        except review.Unusable as error:
            raise WebhookFailed(f"received invalid webhook response: {error}") from None


class MutatingWebhooks(_Asking, Plugin):
    """Webhooks that change objects. `before` are the plugins that look again at what was changed."""

    handles_connect = True

    def __init__(self, hooks: Configurations[list[Webhook]], means: Means, before: Sequence[Plugin] = ()) -> None:
        super().__init__(hooks, means)
        self._before = tuple(before)

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Ask each in turn; then once more those that want to see what others changed after them."""
        hooks = self._all(attributes)
        if not hooks:
            return
        seen: dict[int, Document] = {}  # by webhook: what the object was when it had been asked
        is_changed = False
        for index, hook in enumerate(hooks):
            did = await self._turn(hook, document, attributes, f"round_0_index_{index}")
            if did is not None:
                seen[index] = _copy(document)
                is_changed = is_changed or did
        if not is_changed:
            return
        await self._look_again(document, attributes)
        for index, state in seen.items():
            if hooks[index].config.get("reinvocationPolicy") == "IfNeeded" and state != document:
                await self._turn(hooks[index], document, attributes, f"round_1_index_{index}")

    async def _look_again(self, document: Document, attributes: Attributes) -> None:
        if attributes.operation != "DELETE":
            for plugin in self._before:
                await plugin.mutate(document, attributes)

    async def _turn(self, hook: Webhook, document: Document, attributes: Attributes, turn: str) -> bool | None:
        """Whether the webhook changed the document, in place; None if it was not asked or did not answer."""
        shown = await self._meant(hook, document, attributes)
        if shown is None:
            return None
        answer = await self._ask(hook, shown, attributes, is_mutating=True)
        if answer is None:
            attributes.audit[f"failed-open.mutation.webhook.admission.k8s.io/{turn}"] = hook.name
            return None
        is_mutated = await self._apply(hook, answer, shown, document, attributes)
        said = {"configuration": hook.configuration, "webhook": hook.name, "mutated": is_mutated}
        attributes.audit[f"mutation.webhook.admission.k8s.io/{turn}"] = _encode(said).decode()
        return is_mutated

    async def _apply(
        self, hook: Webhook, answer: review.Answer, shown: Shown, document: Document, attributes: Attributes
    ) -> bool:
        """Whether the patch changed anything. Raises StatusError InternalError for a patch that does not fit."""
        if not answer.patch:
            return False
        if shown.object is None or attributes.subresource in OTHER_KINDS:
            tried = f'admission webhook "{hook.name}" attempted to modify the object'
            raise errors.internal(f"{tried}, which is not supported for this operation")
        await change(shown, answer.patch, document, attributes)
        return True


async def change(shown: Shown, operations: list[dict[str, Any]], document: Document, attributes: Attributes) -> None:
    """Apply a JSON patch to what is shown, and bring it into the document. Raises StatusError InternalError."""
    try:
        shown.object = patch.apply_json_patch(shown.object, operations)
    except (patch.PatchFailed, RecursionError) as error:
        raise errors.internal(str(error)) from None
    if not isinstance(shown.object, dict):
        raise errors.internal("the patch leaves no object")
    await replace_with(shown, document, attributes)


async def replace_with(shown: Shown, document: Document, attributes: Attributes) -> None:
    """Make the document what `shown.object` has become: checked for its types, with defaults."""
    assert shown.object is not None
    model = shown.view.resource or shown.version
    try:
        shown.object = schema.check(shown.object, model)[0]
    except StatusError as error:
        raise errors.internal(error.message) from None
    changed = await restore(shown, document, attributes)
    document.clear()
    document.update(changed)
    attributes.resource.default(document)


class ValidatingWebhooks(_Asking, Plugin):
    """Webhooks that judge objects, all at once."""

    handles_connect = True

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises the refusal of the first, in the order of names, that refuses."""
        meant = []
        for hook in self._all(attributes):
            if (shown := await self._meant(hook, document, attributes)) is not None:
                meant.append((hook, shown))
        if not meant:
            return
        calls = [self._judge(hook, shown, attributes, index) for index, (hook, shown) in enumerate(meant)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each

    async def _judge(self, hook: Webhook, shown: Shown, attributes: Attributes, index: int) -> None:
        if await self._ask(hook, shown, attributes, is_mutating=False) is None:
            attributes.audit[f"failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}"] = hook.name


def _copy(document: Document) -> Document:
    copied: Document = msgspec.json.decode(_encode(document))
    return copied
