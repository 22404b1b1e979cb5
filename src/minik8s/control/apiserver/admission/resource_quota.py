"""ResourceQuota: a namespace never has more than its quotas allow, however many apiservers write to it.

The last step of admission. A write is charged in its own transaction: the quota's status.used grows if, and only if,
the object is written, guarded by the revision of the quota that was judged. So nothing is charged for what fails or is
only tried (dry run), and two apiservers never exceed a quota together. What is deleted is given back by the
controller, which counts anew. (Upstream charges first and leaves what fails to the controller.)

Writes of one namespace with quotas take turns here: they would only undo each other's guards. Everything else does not
wait. `charge` is what `pipeline` uses; `judge` is pure.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence

from minik8s.api import amounts, quotausage
from minik8s.api.amounts import Amounts
from minik8s.api.quantity import parse
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.registry import Rewrite, key_of
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.resourcequota import RESOURCEQUOTAS
from minik8s.kit.clock import Clock


class ResourceQuota:
    """Charges writes to the quotas of their namespace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns: dict[str, asyncio.Lock] = {}  # namespace → whose turn it is; of namespaces with quotas

    @contextlib.asynccontextmanager
    async def charge(self, document: Document, attributes: Attributes) -> AsyncIterator[Sequence[Rewrite]]:
        """What to write beside the object, within the block. Raises StatusError Forbidden."""
        quotas = await attributes.reader.list("resourcequotas", attributes.namespace) if _is_charged(attributes) else []
        if not quotas:
            yield ()
            return
        async with self._turns.setdefault(attributes.namespace, asyncio.Lock()):
            names = [quota["metadata"]["name"] for quota in quotas]
            fresh = [await attributes.reader.get("resourcequotas", attributes.namespace, name) for name in names]
            yield judge([quota for quota in fresh if quota], document, attributes, now_s=self._clock.now_s())


def judge(quotas: Iterable[Document], document: Document, attributes: Attributes, *, now_s: float) -> list[Rewrite]:
    """The charges of one write. Raises StatusError Forbidden, as upstream's CheckRequest."""
    plural, group, old = attributes.resource.plural, attributes.resource.group, attributes.old
    asked = quotausage.usage(plural, group, document, now_s=now_s)
    if negative := sorted(name for name, amount in asked.items() if parse(amount) < 0):
        raise attributes.refuse(f"quota usage is negative for resource(s): {','.join(negative)}")
    charges = []
    for quota in quotas:
        status = quota.get("status", {})
        hard, used = status.get("hard", {}), status.get("used", {})
        limited = [name for name in hard if quotausage.is_about(plural, group, name)]
        if not limited or not quotausage.in_scope(quota, plural, group, document):
            continue
        name = quota["metadata"]["name"]
        if (plural, group) == ("pods", "") and (unsaid := quotausage.unsaid(document, limited)):
            raise attributes.refuse(f"failed quota: {name}: must specify {unsaid}")
        if not all(each in used for each in limited):
            raise attributes.refuse(f"status unknown for quota: {name}, resources: {','.join(sorted(limited))}")
        more = asked
        if old is not None and quotausage.in_scope(quota, plural, group, old):
            more = amounts.subtract(asked, quotausage.usage(plural, group, old, now_s=now_s))
        more = {each: amount for each, amount in amounts.only(more, limited).items() if parse(amount)}
        if not more:
            continue
        after = amounts.add(used, more)
        if attributes.subresource != "status":
            _refuse_excess(attributes, name, more, used, after, hard)
        key, revision = key_of(RESOURCEQUOTAS, attributes.namespace, name), int(quota["metadata"]["resourceVersion"])
        charges.append(Rewrite(key, revision, quota | {"status": status | {"used": after}}))
    return charges


def _refuse_excess(
    attributes: Attributes, name: str, more: Amounts, used: Amounts, after: Amounts, hard: Amounts
) -> None:
    exceeded = [each for each in more if parse(after[each]) > parse(hard[each])]
    if exceeded:
        requested, had, limit = (amounts.shown(amounts.only(each, exceeded)) for each in (more, used, hard))
        raise attributes.refuse(f"exceeded quota: {name}, requested: {requested}, used: {had}, limited: {limit}")


def _is_charged(attributes: Attributes) -> bool:
    """As upstream: creates of everything; updates of what can come to use more."""
    resource, subresource = attributes.resource, attributes.subresource
    if not attributes.namespace or attributes.verb == "delete":
        return False
    if attributes.verb == "create":
        return not subresource
    match resource.group, resource.plural:
        case "", "pods":
            return subresource == "resize"
        case "", "services":
            return not subresource
        case "", "persistentvolumeclaims":
            return subresource in ("", "status")
    return False
