"""The ServiceAccount `default` of every namespace: pods that name none run as it, and are refused until it is there."""

from collections.abc import Iterable

from minik8s.api.core_v1 import NAMESPACES, SERVICEACCOUNTS, Namespace, ServiceAccount
from minik8s.client.controller import Writes
from minik8s.control.controllers.context import Context, Watch

DEFAULT = "default"


class ServiceAccountController:
    """Keys are Namespaces."""

    name = "serviceaccount"

    def __init__(self, context: Context) -> None:
        self._namespaces = context.informer(NAMESPACES)
        self._accounts = context.informer(SERVICEACCOUNTS)

    def watches(self) -> Iterable[Watch]:
        return (Watch(NAMESPACES, _name), Watch(SERVICEACCOUNTS, _namespace_of_default))

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        namespace = self._namespaces.get(key)
        if namespace is None or namespace.metadata.deletionTimestamp is not None:
            return None
        if self._accounts.get(f"{key}/{DEFAULT}") is None:
            await writes.create(SERVICEACCOUNTS, {"metadata": {"name": DEFAULT}}, namespace=key)
        return None


def _name(namespace: Namespace) -> list[str]:
    assert namespace.metadata is not None
    return [namespace.metadata.name or ""]


def _namespace_of_default(account: ServiceAccount) -> list[str]:
    assert account.metadata is not None
    return [account.metadata.namespace or ""] if account.metadata.name == DEFAULT else []
