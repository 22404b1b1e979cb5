"""The ConfigMap `kube-root-ca.crt` of every namespace: by what pods recognize the API server."""

from collections.abc import Iterable

from minik8s.api.core_v1 import CONFIGMAPS, NAMESPACES, ConfigMap, Namespace
from minik8s.client.controller import Writes
from minik8s.control.controllers.context import Context, Watch

NAME = "kube-root-ca.crt"
_KEY = "ca.crt"
_DESCRIPTION = {
    "kubernetes.io/description": "The authority that signs the API server's certificate. It vouches for that alone."
}


class RootCaController:
    """Keys are Namespaces."""

    name = "root-ca-certificate-publisher"

    def __init__(self, context: Context) -> None:
        self._root_ca = context.config.root_ca
        self._namespaces = context.informer(NAMESPACES)
        self._configmaps = context.informer(CONFIGMAPS)

    def watches(self) -> Iterable[Watch]:
        return (Watch(NAMESPACES, _name), Watch(CONFIGMAPS, _namespace_of_ours)) if self._root_ca else ()

    async def reconcile(self, key: str, writes: Writes) -> float | None:
        namespace = self._namespaces.get(key)
        if namespace is None or namespace.metadata.deletionTimestamp is not None:
            return None
        found = self._configmaps.get(f"{key}/{NAME}")
        data = {_KEY: self._root_ca}
        if found is None:
            document = {"metadata": {"name": NAME, "annotations": _DESCRIPTION}, "data": data}
            await writes.create(CONFIGMAPS, document, namespace=key)
        elif found.data != data:
            gone = {name: None for name in found.data or {} if name != _KEY}
            await writes.patch(CONFIGMAPS, NAME, {"data": gone | data}, namespace=key)
        return None


def _name(namespace: Namespace) -> list[str]:
    assert namespace.metadata is not None
    return [namespace.metadata.name or ""]


def _namespace_of_ours(configmap: ConfigMap) -> list[str]:
    assert configmap.metadata is not None
    return [configmap.metadata.namespace or ""] if configmap.metadata.name == NAME else []
