"""Resource quotas: what a namespace uses is counted anew when objects go, when a quota changes, and now and then.

The apiserver charges a quota in the transaction of the write it admits. So a count is true if it saw every write up to
the quota's own revision: the caches are waited for, and the status is replaced only at that revision. A write that was
charged meanwhile makes the patch fail, and the count begins again.

Objects of custom kinds are not watched here: those that a quota limits are listed, and looked for again soon.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from minik8s.api import amounts, quotausage
from minik8s.api.amounts import Amounts
from minik8s.api.apiextensions_v1 import CUSTOMRESOURCEDEFINITIONS
from minik8s.api.core_v1 import RESOURCEQUOTAS, ResourceQuota
from minik8s.api.kind import Kind
from minik8s.api.meta_v1 import key_of, split_key
from minik8s.client.controller import Writes
from minik8s.client.informer import Informer, reach_all
from minik8s.control.controllers.context import Context, Watch
from minik8s.control.controllers.customkinds import kind_of
from minik8s.control.controllers.kinds import KINDS

_RESYNC_S = 300.0  # as upstream
_CUSTOM_RESYNC_S = 15.0  # of quotas that limit custom kinds


def count(quota: Any, objects: Sequence[tuple[Kind[Any], Iterable[Any]]], *, now_s: float) -> Amounts:
    """What the objects use of a quota (a document), for every name it limits."""
    hard = quota["spec"].get("hard") or {}
    # What no kind is about (a definition that is not there yet, or not seen) is left as it was charged.
    before = (quota.get("status") or {}).get("used") or {}
    known = [name for name in hard if any(quotausage.is_about(kind.plural, kind.group, name) for kind, _ in objects)]
    used = {name: "0" if name in known else before.get(name, "0") for name in hard}
    for kind, items in objects:
        names = [name for name in hard if quotausage.is_about(kind.plural, kind.group, name)]
        if not names:
            continue
        for item in items:
            document = msgspec.to_builtins(item)
            if quotausage.in_scope(quota, kind.plural, kind.group, document):
                usage = quotausage.usage(kind.plural, kind.group, document, now_s=now_s)
                used = amounts.add(used, amounts.only(usage, names))
    return used


class ResourceQuotaController:
    """Keys are ResourceQuotas."""

    name = "resourcequota"

    def __init__(self, context: Context, kinds: Sequence[Kind[Any]] = KINDS) -> None:
        self._context = context
        self._quotas = context.informer(RESOURCEQUOTAS)
        self._quotas.add_index("namespace", _namespaces)
        self._definitions = context.informer(CUSTOMRESOURCEDEFINITIONS)
        self._kinds = [kind for kind in kinds if kind.namespaced]
        self._informers: dict[str, Informer[Any]] = {kind.plural: context.informer(kind) for kind in self._kinds}
        for informer in self._informers.values():
            informer.add_index("namespace", _namespaces)

    def watches(self) -> Iterable[Watch]:
        own = Watch(RESOURCEQUOTAS, lambda quota: [key_of(quota)])
        return [own, *(Watch(kind, self._quotas_about(kind)) for kind in self._kinds if kind is not RESOURCEQUOTAS)]

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        namespace, name = split_key(key)
        if self._quotas.get(key) is None:
            return None
        live = await self._context.client.get(RESOURCEQUOTAS, name, namespace=namespace)
        document = msgspec.to_builtins(live)
        concerned = [kind for kind in self._kinds if _limits(live, kind)]
        revision = int(live.metadata.resourceVersion or 0)
        await reach_all([self._informers[kind.plural] for kind in concerned], revision)
        objects: list[tuple[Kind[Any], Sequence[Any]]] = [
            (kind, self._informers[kind.plural].by_index("namespace", namespace)) for kind in concerned
        ]
        hard = document["spec"].get("hard") or {}
        custom = await self._custom_objects(hard, namespace)
        objects += custom
        used = count(document, objects, now_s=self._context.clock.now_s())
        status = document.get("status") or {}
        before = {field: status.get(field) or {} for field in ("hard", "used")}
        after = {"hard": hard, "used": used}
        if before != after:
            patch = {
                "metadata": {"uid": live.metadata.uid, "resourceVersion": live.metadata.resourceVersion},
                # What is not in the new maps goes.
                "status": {field: dict.fromkeys(before[field]) | after[field] for field in after},
            }
            await writes.patch(RESOURCEQUOTAS, name, patch, namespace=namespace, subresource="status")
        return _CUSTOM_RESYNC_S if custom else _RESYNC_S

    async def _custom_objects(self, hard: Amounts, namespace: str) -> list[tuple[Kind[Any], Sequence[Any]]]:
        """What there is of the custom kinds that a quota limits, as the server says."""
        found: list[tuple[Kind[Any], Sequence[Any]]] = []
        for name in hard:
            definition = self._definitions.get(name.removeprefix("count/"))
            kind = kind_of(definition) if definition is not None else None
            if kind is not None and kind.namespaced:
                found.append((kind, (await self._context.client.list(kind, namespace=namespace)).items))
        return found

    def _quotas_about(self, kind: Kind[Any]) -> Any:
        def keys(obj: Any) -> Iterable[str]:
            quotas = self._quotas.by_index("namespace", obj.metadata.namespace or "")
            return [key_of(quota) for quota in quotas if _limits(quota, kind)]

        return keys


def _namespaces(obj: Any) -> Iterable[str]:
    return [obj.metadata.namespace or ""]


def _limits(quota: ResourceQuota, kind: Kind[Any]) -> bool:
    hard = (quota.spec.hard if quota.spec else None) or {}
    return any(quotausage.is_about(kind.plural, kind.group, name) for name in hard)
