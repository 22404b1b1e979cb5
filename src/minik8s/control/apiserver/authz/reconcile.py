"""Brings the stored policy up to `bootstrap_policy` when an apiserver starts. Called by `core`.

As upstream: what is missing is made, rules and subjects that are missing are added, what is there beyond is kept, and
whoever wants a role left alone annotates it with autoupdate "false". A binding to another role is replaced. Several
apiservers may start at once: what another one made meanwhile is as good. The whole first policy takes two transactions.
"""

from collections.abc import Sequence

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authz import bootstrap_policy, rules
from minik8s.control.apiserver.authz.bootstrap_policy import AUTOUPDATE, GROUP
from minik8s.control.apiserver.handler import Handler
from minik8s.control.apiserver.registry import Registry, key_of
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.clusterrole import CLUSTERROLES
from minik8s.control.apiserver.resources.clusterrolebinding import CLUSTERROLEBINDINGS
from minik8s.control.apiserver.resources.role import ROLES
from minik8s.control.apiserver.resources.rolebinding import ROLEBINDINGS
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_ATTEMPTS = 8
_CREATED_AT_ONCE = 100  # in one transaction: etcd takes 128
_RESOURCES = {resource.plural: resource for resource in (CLUSTERROLES, ROLES, CLUSTERROLEBINDINGS, ROLEBINDINGS)}
_DRY_RUN = {"dryRun": "All"}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_Documents = list[tuple[str, Document]]  # (plural, document)


async def reconcile(handler: Handler, registry: Registry) -> None:
    """Make the policy whole. Raises StatusError when the store does not answer, or others keep changing the policy."""
    wanted = list(bootstrap_policy.policy().items())
    for _ in range(_ATTEMPTS):
        stored = {plural: await _list(handler, plural) for plural in _RESOURCES}
        found = [(plural, document, stored[plural].get(_key(document))) for plural, document in wanted]
        missing = [(plural, document) for plural, document, there in found if there is None]
        is_done = await _create(handler, registry, missing)
        for plural, document, there in found:
            if there is not None and (better := improved(there, document)) is not None:
                is_done = await _replace(handler, plural, there, better) and is_done
        if is_done:
            return
    raise errors.conflict("clusterroles", GROUP, "", "the first policy keeps changing")


async def _create(handler: Handler, registry: Registry, missing: _Documents) -> bool:
    """Make what is missing, many at once; False if somebody else made some of it meanwhile.

    Each document takes the way of every write but the last step, as a dry run.
    """
    for start in range(0, len(missing), _CREATED_AT_ONCE):
        made = {}
        for plural, document in missing[start : start + _CREATED_AT_ONCE]:
            metadata = document["metadata"]
            namespace = metadata.get("namespace", "")
            request = Request("create", GROUP, "v1", plural, namespace, query=_DRY_RUN, body=_encode(document))
            answer = await handler.call(request)
            made[key_of(_RESOURCES[plural], namespace, metadata["name"])] = _decode(answer.body)
        if not await registry.create_all(made):
            return False
    return True


async def _replace(handler: Handler, plural: str, found: Document, better: Document) -> bool:
    """Write what is better; False if it must be looked at again."""
    metadata = found["metadata"]
    place = (GROUP, "v1", plural, metadata.get("namespace", ""), metadata["name"])
    log.info("policy brought up to date", resource=plural, name=metadata["name"])
    is_other = found.get("roleRef") != better.get("roleRef")
    try:
        await handler.call(Request("delete", *place) if is_other else Request("update", *place, body=_encode(better)))
    except StatusError as error:
        if error.reason not in ("Conflict", "NotFound"):
            raise
        return False
    return not is_other


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
    response = await handler.call(Request("list", GROUP, "v1", plural))
    items: Sequence[Document] = _decode(response.body)["items"]
    return {_key(item): item for item in items}


def _key(document: Document) -> tuple[str, str]:
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]
