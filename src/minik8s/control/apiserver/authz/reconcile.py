"""Brings the stored policy up to `bootstrap_policy` when an apiserver starts. Called by `core`.

As upstream: what is missing is made, rules and subjects that are missing are added, what is there beyond is kept, and
whoever wants a role left alone annotates it with autoupdate "false". A binding to another role is replaced. Several
apiservers may start at once: what another one made meanwhile is as good.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authz import bootstrap_policy, rules
from minik8s.control.apiserver.authz.bootstrap_policy import AUTOUPDATE, GROUP
from minik8s.control.apiserver.handler import Handler
from minik8s.control.apiserver.resource import Document
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_WRITES_AT_ONCE = 64
_ATTEMPTS = 3
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def reconcile(handler: Handler) -> None:
    """Make the policy whole. Raises StatusError when the store does not answer."""
    places = asyncio.Semaphore(_WRITES_AT_ONCE)
    stored = {plural: await _list(handler, plural) for plural in ("clusterroles", "clusterrolebindings")}
    stored |= {plural: await _list(handler, plural) for plural in ("roles", "rolebindings")}

    async def one(plural: str, wanted: Document) -> None:
        async with places:
            await _ensure(handler, plural, wanted, stored[plural].get(_key(wanted)))

    async with asyncio.TaskGroup() as group:
        for plural, wanted in bootstrap_policy.policy().items():
            group.create_task(one(plural, wanted))


async def _ensure(handler: Handler, plural: str, wanted: Document, found: Document | None) -> None:
    metadata = wanted["metadata"]
    place = (GROUP, "v1", plural, metadata.get("namespace", ""))
    for _ in range(_ATTEMPTS):
        try:
            if found is None:
                await handler.call(Request("create", *place, body=_encode(wanted)))
                return
            better = improved(found, wanted)
            if better is None:
                return
            log.info("policy brought up to date", resource=plural, name=metadata["name"])
            if found.get("roleRef") != better.get("roleRef"):
                await handler.call(Request("delete", *place, metadata["name"]))
                found = None
                continue
            await handler.call(Request("update", *place, metadata["name"], body=_encode(better)))
            return
        except StatusError as error:
            if error.reason not in ("AlreadyExists", "Conflict", "NotFound"):
                raise
            found = await _get(handler, Request("get", *place, metadata["name"]))


def improved(found: Document, wanted: Document) -> Document | None:
    """What is stored with what is missing of what is wanted; None if nothing is, or if it wants to be left alone."""
    if (found["metadata"].get("annotations") or {}).get(AUTOUPDATE) == "false":
        return None
    better = dict(found)
    metadata = better["metadata"] = dict(found["metadata"])
    for field in ("labels", "annotations"):
        metadata[field] = wanted["metadata"].get(field, {}) | (found["metadata"].get(field) or {})
    if "roleRef" in wanted:
        better["roleRef"] = wanted["roleRef"]
        better["subjects"] = _with_missing_subjects(found.get("subjects") or [], wanted.get("subjects") or [])
    else:
        better["rules"] = _with_missing_rules(found.get("rules") or [], wanted.get("rules") or [])
        if "aggregationRule" in wanted:
            selectors = found.get("aggregationRule", {}).get("clusterRoleSelectors") or []
            missing = [each for each in wanted["aggregationRule"]["clusterRoleSelectors"] if each not in selectors]
            better["aggregationRule"] = {"clusterRoleSelectors": selectors + missing}
            better["rules"] = found.get("rules") or wanted.get("rules") or []  # The aggregation controller's business.
    return None if _without_empty(better) == _without_empty(found) else better


def _with_missing_rules(found: list[Document], wanted: list[Document]) -> list[Document]:
    if all(rule in found for rule in wanted):
        return found
    missing = rules.missing(rules.of_documents(found), rules.of_documents(wanted))
    return found + [rules.document(rule) for rule in rules.compact(missing)]


def _with_missing_subjects(found: list[Document], wanted: list[Document]) -> list[Document]:
    return found + [subject for subject in wanted if subject not in found]


def _without_empty(document: Document) -> Document:
    return {key: value for key, value in document.items() if value}


async def _list(handler: Handler, plural: str) -> dict[tuple[str, str], Document]:
    response = await handler.call(Request("list", GROUP, "v1", plural, query={"resourceVersion": "0"}))
    items: Sequence[Document] = _decode(response.body)["items"]
    return {_key(item): item for item in items}


async def _get(handler: Handler, request: Request) -> Document | None:
    try:
        found: Document = _decode((await handler.call(request)).body)
    except StatusError as error:
        if error.reason != "NotFound":
            raise
        return None
    return found


def _key(document: Document) -> tuple[str, str]:
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]
